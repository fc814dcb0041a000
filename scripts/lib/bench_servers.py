"""The servers that scripts/bench measures: how to start, ask, weigh and stop them."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 15
STOP_SECONDS = 10
SERVER_CORE = "0"

# name -> (program, protocol, command line); each as its users would run a cache without disk.
DEBIAN_PEERS = {
    "redis": ("redis-server", "resp",
              'redis-server --port {port} --save "" --appendonly no --loglevel warning'),
    "memcached": ("memcached", "memcached",
                  "memcached -l 127.0.0.1 -p {port} -U 0 -t 1 -m 8192 -c 4096 -u root"),
}
LARDER = 'target/release/larder-server --port {port} --threads 1 --save "" --loglevel warning'


class ServerError(Exception):
    """A server does not start, does not answer or has ended."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server process, pinned to its core; a context manager, which stops it at the end."""

    def __init__(self, name, command, protocol="resp", port=0):
        self.name, self.command, self.protocol = name, command, protocol
        self.fixed_port = port
        self.port = self.process = self.directory = None

    def __enter__(self):
        self.port = self.fixed_port or free_port()
        self.directory = tempfile.TemporaryDirectory(prefix="larder-bench-")
        words = [word.replace("{port}", str(self.port)) for word in shlex.split(self.command)]
        # The server runs in a directory of its own, so a path of ours must not be relative.
        words[0] = shutil.which(words[0]) or words[0]
        words[0] = os.path.abspath(words[0])
        pin = ["taskset", "-c", SERVER_CORE]
        if shutil.which("setpriv"):  # ends the server even if this script is killed with -9
            pin += ["setpriv", "--pdeathsig", "KILL"]
        self.log = open(os.path.join(self.directory.name, "log"), "w+b")
        try:
            self.process = subprocess.Popen(
                pin + words, cwd=self.directory.name, stdin=subprocess.DEVNULL,
                stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.process and self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self.process.kill()
        finally:
            if self.process:
                try:  # whatever it started itself
                    os.killpg(self.process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
                self.process.wait()
            self.log.close()
            self.directory.cleanup()

    def wait_until_it_answers(self):
        question = b"PING\r\n" if self.protocol == "resp" else b"version\r\n"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.ask(question)[:1] in (b"+", b"V"):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace")[-2000:]
        raise ServerError(f"{self.name} does not answer on port {self.port}: {tail}")

    def ask(self, question):
        """The first bytes of the answer to a question."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(question)
            return connection.recv(65536)

    def version(self):
        if self.protocol == "memcached":
            return self.ask(b"version\r\n").decode().split()[-1]
        info = self.ask(b"INFO server\r\n").decode(errors="replace")
        versions = dict(re.findall(r"^(\w+)_version:(\S+)", info, re.MULTILINE))
        for product in ("larder", "valkey", "redis"):
            if product in versions:
                return versions[product]
        return "?"

    def resident_bytes(self):
        """What the process holds in memory; smaps_rollup is exact, statm may lag by some pages."""
        if self.process.poll() is not None:
            raise ServerError(f"{self.name} has ended by itself")
        proc = f"/proc/{self.process.pid}"
        try:
            with open(f"{proc}/smaps_rollup") as smaps:
                return int(re.search(r"^Rss:\s+(\d+) kB", smaps.read(), re.MULTILINE)[1]) * 1024
        except (OSError, TypeError):
            with open(f"{proc}/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parse_peer(text):
    """NAME[:PROTOCOL]=PORT=COMMAND, as --peer takes it."""
    name, port, command = text.split("=", 2)
    name, _, protocol = name.partition(":")
    protocol = protocol or "resp"
    if not name or not command or protocol not in ("resp", "memcached"):
        raise ValueError(text)
    return Server(name, command, protocol, int(port))


def debian_peers(skip):
    """The peers that are installed, and a line on each that is not."""
    found, missing = [], []
    for name, (program, protocol, command) in DEBIAN_PEERS.items():
        if name in skip:
            missing.append(f"{name}: left out by --skip")
        elif shutil.which(program):
            found.append(Server(name, command, protocol))
        else:
            missing.append(f"{name}: no {program} on PATH (Debian: apt install {program})")
    return found, missing
