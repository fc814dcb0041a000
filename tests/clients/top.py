"""`larder top` as a person uses it, in a terminal of 80 columns.

Usage: top.py LARDER SCENE NODE [LARDER-SERVER]
"""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

LARDER, SCENE, NODE = sys.argv[1:4]


class Terminal:
    def __init__(self, args):
        self.seen = b""
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        env = dict(os.environ, TERM="xterm")
        self.process = subprocess.Popen(
            [LARDER, *args], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env, start_new_session=True
        )

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.seen += os.read(self.master, 65536)

    def expect(self, pattern):
        """Waits until `pattern` has been shown since the last call. Only what changes on the screen is sent."""
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.seen)):
            if time.monotonic() > deadline:
                sys.exit(f"never shown: {pattern!r}; shown: {self.seen[-3000:]!r}")
            self.read(0.1)
        self.seen = self.seen[found.end() :]

    def type(self, keys):
        os.write(self.master, keys)

    def expect_end(self, code):
        """Waits for the end, and for the terminal to be as it was: cooked, its first screen shown, the cursor, too."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
                sys.exit("it does not end")
            self.read(0.05)
        for _ in range(3):
            self.read(0.05)
        if self.process.returncode != code:
            sys.exit(f"exit code {self.process.returncode}: {self.seen[-3000:]!r}")
        if termios.tcgetattr(self.slave) != self.before:
            sys.exit("the terminal's modes are not what they were")
        for what in (b"\x1b[?1049l", b"\x1b[?25h"):
            if what not in self.seen:
                sys.exit(f"never sent: {what!r}; sent: {self.seen!r}")


def watch(server):
    """One node is there, the other goes away and comes back."""
    # Bound but not listening: it refuses, and no other test's server can take the port.
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    port = str(reserved.getsockname()[1])
    terminal = Terminal(["top", "--interval", "200ms", "--timeout", "1s", NODE, f"127.0.0.1:{port}"])
    terminal.expect(b"larder top")
    terminal.expect(b"unreachable")
    # The right arrow sorts by the next column, whose head is then drawn anew, reversed.
    terminal.type(b"\x1b[C")
    terminal.expect(rb"\x1b\[7m(\x1b\[[0-9;]*m)*node")
    terminal.type(b"\x1b[B")
    args = [server, "--port", port, "--bind", "127.0.0.1"]
    reserved.close()
    other = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # Its figures take the place of the excuse.
        terminal.expect(rb"[0-9.]+[BKMG]/")
    finally:
        other.kill()
        other.wait()
    terminal.expect(b"unreachable")
    terminal.type(b"q")
    terminal.expect_end(0)


def control_c():
    terminal = Terminal(["top", NODE])
    terminal.expect(b"larder top")
    terminal.type(b"\x03")
    terminal.expect_end(0)


def terminate():
    terminal = Terminal(["top", NODE])
    terminal.expect(b"larder top")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.expect_end(0)


def hang():
    """Keys work while a node owes an answer."""
    terminal = Terminal(["top", "--timeout", "1h", NODE, "--interval", "50ms"])
    terminal.expect(b"larder top")
    terminal.expect(rb"[0-9.]+[BKMG]/")
    pause = subprocess.run(["redis-cli", "-p", NODE.rsplit(":")[-1], "client", "pause", "60000"], capture_output=True)
    if pause.returncode != 0:
        sys.exit("redis-cli fails")
    time.sleep(0.2)
    terminal.type(b"q")
    terminal.expect_end(0)


SCENES = {"watch": watch, "control-c": control_c, "terminate": terminate, "hang": hang}
SCENES[SCENE](*sys.argv[4:])
