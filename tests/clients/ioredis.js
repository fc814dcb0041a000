// ioredis' basic use against the server on port process.argv[2].
"use strict";

const assert = require("node:assert");
const Redis = require("ioredis");

const port = Number(process.argv[2]);
const tests = {};

tests["strings and numbers"] = async (r) => {
  assert.strictEqual(await r.set("k", "v"), "OK");
  assert.strictEqual(await r.get("k"), "v");
  assert.strictEqual(await r.get("absent"), null);
  assert.strictEqual(await r.set("k", "w", "NX"), null);
  assert.strictEqual(await r.set("k", "w", "EX", 100, "GET"), "v");
  assert.strictEqual(await r.append("k", "x"), 2);
  assert.strictEqual(await r.incr("n"), 1);
  assert.strictEqual(await r.incrby("n", 41), 42);
  assert.strictEqual(await r.incrbyfloat("f", "1.5"), "1.5");
  assert.strictEqual(await r.strlen("k"), 2);
  await assert.rejects(r.incr("k"), /ERR value is not an integer or out of range/);
};

tests["buffers"] = async (r) => {
  const value = Buffer.from(Array.from({ length: 70000 }, (_, i) => i % 256));
  await r.set("b", value);
  assert.ok(value.equals(await r.getBuffer("b")));
};

tests["many keys"] = async (r) => {
  await r.mset({ a: 1, b: 2 });
  assert.deepStrictEqual(await r.mget("a", "nope", "b"), ["1", null, "2"]);
  assert.strictEqual(await r.exists("a", "b", "nope"), 2);
  assert.strictEqual(await r.del("a", "b"), 2);
};

tests["expiry"] = async (r) => {
  await r.set("k", "v", "PX", 100000);
  const ttl = await r.pttl("k");
  assert.ok(ttl > 90000 && ttl <= 100000, `pttl ${ttl}`);
  assert.strictEqual(await r.persist("k"), 1);
  assert.strictEqual(await r.ttl("k"), -1);
  assert.strictEqual(await r.expire("k", 10, "GT"), 0);
};

tests["pipelines and transactions"] = async (r) => {
  const replies = await r.pipeline().set("a", 1).incr("a").get("a").lpop().exec();
  assert.deepStrictEqual(replies.slice(0, 3), [[null, "OK"], [null, 2], [null, "2"]]);
  assert.ok(replies[3][0] instanceof Error);
  assert.deepStrictEqual(await r.multi().set("b", 1).incr("b").exec(), [[null, "OK"], [null, 2]]);
  await r.watch("b");
  const other = r.duplicate();
  await other.set("b", 5);
  assert.strictEqual(await r.multi().incr("b").exec(), null);
  other.disconnect();
};

tests["automatic pipelining"] = async () => {
  const r = new Redis(port, { enableAutoPipelining: true });
  const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) => r.set(`k${i}`, i).then(() => r.get(`k${i}`))));
  assert.deepStrictEqual(replies, Array.from({ length: 1000 }, (_, i) => String(i)));
  r.disconnect();
};

tests["scan streams"] = async (r) => {
  const names = Array.from({ length: 500 }, (_, i) => `scan:${i}`);
  await r.mset(...names.flatMap((name) => [name, "v"]));
  const seen = new Set();
  for await (const keys of r.scanStream({ match: "scan:*", count: 50 })) keys.forEach((key) => seen.add(key));
  assert.deepStrictEqual([...seen].sort(), names.sort());
};

tests["databases, prefixes, names"] = async (r) => {
  const other = new Redis(port, { db: 4, keyPrefix: "app:", connectionName: "tests" });
  await other.set("k", "four");
  assert.strictEqual(await r.get("app:k"), null);
  await r.select(4);
  assert.strictEqual(await r.get("app:k"), "four");
  await r.select(0);
  assert.strictEqual(await other.client("GETNAME"), "tests");
  assert.match(await r.client("LIST"), /name=tests/);
  other.disconnect();
};

tests["server commands"] = async (r) => {
  assert.strictEqual(await r.ping(), "PONG");
  assert.match(await r.info("server"), /redis_version:\d/);
  assert.deepStrictEqual(await r.config("GET", "databases"), ["databases", "16"]);
  assert.ok((await r.command("COUNT")) > 80);
  assert.deepStrictEqual(await r.command("GETKEYS", "SET", "k", "v"), ["k"]);
  assert.strictEqual((await r.time()).length, 2);
};

tests["offline queue and reconnect"] = async (r) => {
  const id = await r.client("ID");
  const victim = new Redis(port, { retryStrategy: () => 10 });
  const victimId = await victim.client("ID");
  const again = new Promise((resolve) => victim.once("reconnecting", resolve));
  assert.notStrictEqual(id, victimId);
  assert.strictEqual(await r.client("KILL", "ID", victimId), 1);
  await again;
  assert.strictEqual(await victim.set("after", "1"), "OK");
  victim.disconnect();
};

tests["monitor"] = async (r) => {
  const monitor = await r.duplicate().monitor();
  const line = new Promise((resolve) => monitor.on("monitor", (time, args) => args[0].toLowerCase() === "set" && resolve(args)));
  await r.set("watched", "v");
  assert.deepStrictEqual((await line).slice(1), ["watched", "v"]);
  monitor.disconnect();
};

async function main() {
  const deadline = setTimeout(() => { console.error("not done after 60 s"); process.exit(1); }, 60000);
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    const r = new Redis(port, { maxRetriesPerRequest: 1 });
    try {
      await r.flushall();
      await test(r);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${error.stack}`);
    }
    r.disconnect();
  }
  console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
  clearTimeout(deadline);
  process.exit(failed === 0 ? 0 : 1);
}

main();
