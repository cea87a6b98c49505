"""Somebody at a terminal: runs a program on a terminal of its own and types.

    type.py STEP... -- PROGRAM ARGUMENT...

expect:TEXT   wait until the program has printed TEXT since the last expect
send:TEXT     type TEXT; ^X is a control character, ~ the return key
size:ROWSxCOLUMNS   change the window's size
blocks:NUMBER wait until the program has blocked this signal

At the end it prints all that the terminal showed and, as its last line, "exit CODE" or
"signal NUMBER". It fails, with what was shown, if a text does not come in time.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

PATIENCE = 20


def keys(text):
    out, control = bytearray(), False
    for character in text:
        if control:
            out.append(ord(character) & 0x1F)
            control = False
        elif character == "^":
            control = True
        elif character == "~":
            out.append(13)
        else:
            out += character.encode()
    return bytes(out)


class Terminal:
    def __init__(self, program):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(program[0], program)
        self.resize("24x80")
        self.shown = b""
        self.expected = 0

    def resize(self, size):
        rows, columns = map(int, size.split("x"))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self, seconds):
        """False once the program's side of the terminal is closed."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:
            chunk = b""
        self.shown += chunk
        return bool(chunk)

    def expect(self, text):
        end = time.monotonic() + PATIENCE
        while (at := self.shown.find(text, self.expected)) < 0:
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                self.fail(f"'{text.decode()}' never came")
        self.expected = at + len(text)

    def blocks(self, number):
        bit = 1 << (number - 1)
        end = time.monotonic() + PATIENCE
        while True:
            with open(f"/proc/{self.pid}/status") as status:
                mask = next(line for line in status if line.startswith("SigBlk:"))
            if int(mask.split()[1], 16) & bit:
                return
            if time.monotonic() > end:
                self.fail(f"signal {number} never blocked")

    def finish(self):
        end = time.monotonic() + PATIENCE
        while self.read(max(0, end - time.monotonic())):
            if time.monotonic() > end:
                self.fail("it did not end")
        _, status = os.waitpid(self.pid, 0)
        print(self.shown.decode(errors="replace").replace("\r", ""))
        if os.WIFSIGNALED(status):
            print("signal", os.WTERMSIG(status))
        else:
            print("exit", os.WEXITSTATUS(status))

    def fail(self, why):
        print(self.shown.decode(errors="replace"))
        sys.exit(f"{why}; shown: {self.shown!r}")


def main():
    end = sys.argv.index("--")
    steps, program = sys.argv[1:end], sys.argv[end + 1 :]
    terminal = Terminal(program)
    for step in steps:
        verb, _, text = step.partition(":")
        if verb == "expect":
            terminal.expect(text.encode())
        elif verb == "send":
            os.write(terminal.fd, keys(text))
        elif verb == "blocks":
            terminal.blocks(int(text))
        elif verb == "size":
            terminal.resize(text)
        else:
            sys.exit(f"no such step: {step}")
    terminal.finish()


main()
