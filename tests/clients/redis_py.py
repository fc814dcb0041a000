"""redis-py's basic use against the server on port sys.argv[1], in RESP2 and RESP3."""

import sys
import time
import unittest

import redis

PORT = int(sys.argv.pop(1))


class Basics:
    """What most programs do; run once per protocol version."""

    protocol = 2

    def setUp(self):
        self.r = redis.Redis(port=PORT, protocol=self.protocol, decode_responses=True, client_name="tests")
        self.r.flushall()

    def tearDown(self):
        self.r.close()

    def test_strings(self):
        r = self.r
        self.assertIs(r.set("k", "v"), True)
        self.assertEqual(r.get("k"), "v")
        self.assertIsNone(r.get("absent"))
        self.assertEqual(r.append("k", "w"), 2)
        self.assertEqual(r.strlen("k"), 2)
        self.assertEqual(r.getrange("k", 0, 0), "v")
        self.assertEqual(r.setrange("k", 1, "xyz"), 4)
        self.assertEqual(r.getset("k", "new"), "vxyz")
        self.assertEqual(r.getdel("k"), "new")
        self.assertEqual(r.exists("k"), 0)
        self.assertIs(r.setnx("k", "1"), True)
        self.assertIs(r.setnx("k", "2"), False)
        self.assertIsNone(r.set("k", "x", nx=True))
        self.assertEqual(r.set("k", "x", get=True), "1")
        self.assertEqual(r.substr("k", 0), "x")

    def test_bytes_and_unicode(self):
        raw = redis.Redis(port=PORT, protocol=self.protocol)
        value = bytes(range(256)) * 300
        raw.set(b"\x00\xff", value)
        self.assertEqual(raw.get(b"\x00\xff"), value)
        self.r.set("schlüssel", "größe ✓")
        self.assertEqual(self.r.get("schlüssel"), "größe ✓")
        raw.close()

    def test_counters(self):
        r = self.r
        self.assertEqual(r.incr("n"), 1)
        self.assertEqual(r.incr("n", 41), 42)
        self.assertEqual(r.decr("n", 2), 40)
        self.assertEqual(r.incrbyfloat("f", 1.5), 1.5)
        self.assertEqual(r.incrbyfloat("f", -0.25), 1.25)
        r.set("s", "abc")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer or out of range"):
            r.incr("s")

    def test_many_keys(self):
        r = self.r
        self.assertIs(r.mset({"a": "1", "b": "2", "c": "3"}), True)
        self.assertEqual(r.mget("a", "b", "nope", "c"), ["1", "2", None, "3"])
        self.assertFalse(r.msetnx({"a": "x", "z": "y"}))
        self.assertEqual(sorted(r.keys("*")), ["a", "b", "c"])
        self.assertEqual(sorted(r.scan_iter(count=1)), ["a", "b", "c"])
        self.assertEqual(list(r.scan_iter(match="a*", _type="string")), ["a"])
        self.assertEqual(r.dbsize(), 3)
        self.assertIn(r.randomkey(), ["a", "b", "c"])
        self.assertEqual(r.delete("a", "b", "nope"), 2)
        self.assertEqual(r.unlink("c"), 1)

    def test_expiry(self):
        r = self.r
        r.set("k", "v", ex=100)
        self.assertTrue(99 <= r.ttl("k") <= 100)
        self.assertTrue(90_000 < r.pttl("k") <= 100_000)
        self.assertIs(r.persist("k"), True)
        self.assertEqual(r.ttl("k"), -1)
        self.assertEqual(r.ttl("absent"), -2)
        self.assertIs(r.expire("k", 50), True)
        self.assertIs(r.expire("k", 100, nx=True), False)
        self.assertIs(r.expire("k", 100, gt=True), True)
        when = int(time.time()) + 1000
        self.assertIs(r.expireat("k", when), True)
        self.assertEqual(r.expiretime("k"), when)
        self.assertEqual(r.getex("k", px=60_000), "v")
        r.psetex("soon", 20, "v")
        deadline = time.monotonic() + 10
        while r.get("soon") is not None and time.monotonic() < deadline:
            time.sleep(0.005)
        self.assertIsNone(r.get("soon"))

    def test_names(self):
        r = self.r
        r.set("a", "1")
        self.assertIs(r.rename("a", "b"), True)
        self.assertFalse(r.renamenx("b", "b"))
        self.assertTrue(r.copy("b", "c"))
        self.assertEqual(r.type("c"), "string")
        self.assertEqual(r.touch("b", "c"), 2)
        self.assertTrue(r.move("c", 3))
        self.assertEqual(r.object("encoding", "b"), "int")
        with self.assertRaisesRegex(redis.ResponseError, "no such key"):
            r.rename("absent", "x")

    def test_bits(self):
        r = self.r
        self.assertEqual(r.setbit("b", 7, 1), 0)
        self.assertEqual(r.getbit("b", 7), 1)
        self.assertEqual(r.bitcount("b"), 1)
        self.assertEqual(r.bitpos("b", 1), 7)
        r.set("c", "\x01")
        self.assertEqual(r.bitop("XOR", "d", "b", "c"), 1)
        self.assertEqual(r.bitfield("f").incrby("u8", 0, 200).incrby("u8", 0, 100).execute(), [200, 44])

    def test_pipelines(self):
        r = self.r
        with r.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set(f"k{number}", number)
            self.assertEqual(pipe.execute(), [True] * 1000)
        with r.pipeline() as pipe:
            results = pipe.set("a", "1").incr("a").get("a").mget("a", "nope").execute()
        self.assertEqual(results, [True, 2, "2", ["2", None]])
        with r.pipeline() as pipe:
            pipe.set("s", "abc").incr("s").get("s")
            results = pipe.execute(raise_on_error=False)
        self.assertIsInstance(results[1], redis.ResponseError)
        self.assertEqual(results[2], "abc")

    def test_optimistic_locking(self):
        r, other = self.r, redis.Redis(port=PORT)
        r.set("n", 1)
        with r.pipeline() as pipe:
            pipe.watch("n")
            value = int(pipe.get("n"))
            other.set("n", 100)
            pipe.multi()
            pipe.set("n", value + 1)
            self.assertRaises(redis.WatchError, pipe.execute)
        self.assertEqual(r.transaction(lambda pipe: pipe.multi() or pipe.incr("n"), "n"), [101])
        other.close()

    def test_connection_and_server(self):
        r = self.r
        self.assertIs(r.ping(), True)
        self.assertEqual(r.echo("hi"), "hi")
        self.assertEqual(r.client_getname(), "tests")
        mine = r.client_id()
        self.assertIn(str(mine), [client["id"] for client in r.client_list()])
        self.assertEqual(r.client_info()["id"] if isinstance(r.client_info(), dict) else mine, mine)
        info = r.info()
        for field in ["redis_version", "used_memory", "connected_clients", "keyspace_hits", "uptime_in_seconds", "role"]:
            self.assertIn(field, info)
        r.set("k", "v")
        self.assertEqual(r.info("keyspace")["db0"]["keys"], 1)
        self.assertIn("cmdstat_set", r.info("commandstats"))
        self.assertEqual(r.config_get("databases"), {"databases": "16"})
        self.assertIs(r.config_set("timeout", 0), True)
        self.assertGreater(r.memory_usage("k"), 0)
        self.assertEqual(len(r.time()), 2)
        self.assertIsInstance(r.slowlog_get(), list)
        self.assertGreater(r.command_count(), 80)
        self.assertIn("get", r.command())
        self.assertEqual(r.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
        self.assertTrue(r.flushdb(asynchronous=True))

    def test_errors_have_their_classes(self):
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.r.execute_command("NOSUCH")
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments"):
            self.r.execute_command("GET")
        with self.assertRaisesRegex(redis.ResponseError, "DB index is out of range"):
            self.r.execute_command("SELECT", 99)
        with self.assertRaises(redis.AuthenticationError):
            redis.Redis(port=PORT, username="nobody", password="wrong", protocol=self.protocol).ping()

    def test_databases_and_pools(self):
        pool = redis.ConnectionPool(port=PORT, db=5, protocol=self.protocol, max_connections=4)
        five = redis.Redis(connection_pool=pool)
        five.set("k", "five")
        self.assertIsNone(self.r.get("k"))
        self.assertEqual(five.get("k"), b"five")
        self.assertIs(self.r.swapdb(0, 5), True)
        self.assertEqual(self.r.get("k"), "five")
        pool.disconnect()


class Resp2(Basics, unittest.TestCase):
    protocol = 2


class Resp3(Basics, unittest.TestCase):
    protocol = 3


if __name__ == "__main__":
    unittest.main()
