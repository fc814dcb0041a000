"""redis-cli as a person uses it, in a terminal: hints while typing, help, against port sys.argv[1]."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

PORT = sys.argv[1]


class Terminal:
    def __init__(self):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ["REDISCLI_HISTFILE"] = "/dev/null"
            os.execvp("redis-cli", ["redis-cli", "-p", PORT])
        # Without a size, redis-cli asks the terminal for it and waits for the answer.
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))

    def expect(self, text):
        """Waits until `text` has been shown since the last call."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                sys.exit(f"never shown: {text!r}; shown: {self.seen[-2000:]!r}")
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                sys.exit(f"redis-cli ended before {text!r}; shown: {self.seen[-2000:]!r}")
        self.seen = self.seen.split(text, 1)[1]

    def type(self, keys):
        os.write(self.fd, keys)


terminal = Terminal()
PROMPT = f":{PORT}> ".encode()


def line(typed, hint, shown):
    """Types the head of a line, sees the hint, ends the line, sees the answer."""
    head, rest = typed
    terminal.expect(PROMPT)
    terminal.type(head)
    terminal.expect(hint)
    terminal.type(rest + b"\r")
    terminal.expect(shown)


line((b"set ", b"a 1"), b"key value", b"OK")
line((b"get ", b"a"), b"key", b'"1"')
line((b"getbit ", b"a 2"), b"key offset", b"(integer) 1")
line((b"help getrange", b""), b"getrange", b"summary:")
line((b"help @string", b""), b"@string", b"APPEND")
# The tab key completes names.
line((b"strl\t", b" a"), b"STRLEN", b"(integer) 1")
terminal.expect(PROMPT)
terminal.type(b"exit\r")
os.waitpid(terminal.pid, 0)
