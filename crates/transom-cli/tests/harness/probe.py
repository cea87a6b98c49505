"""Does one thing with a TCP connection and prints what the program sees: values and errno.

probe.py CASE HOST PORT
"""
import errno
import os
import signal
import socket
import sys
import time

case, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def step(name, call):
    """Prints the outcome of a call; False if it failed."""
    try:
        print(name, call(), flush=True)
        return True
    except socket.timeout:
        print(name, "timed out", flush=True)
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, error.errno), flush=True)
    return False


def read_all(sock):
    total = 0
    while True:
        data = sock.recv(65536)
        if not data:
            return total
        total += len(data)


def send_until_error(sock):
    """Sends until it fails: how it fails is what counts."""
    for _ in range(2000):
        sock.send(b"x" * 1000)
        time.sleep(0.001)
    return "never failed"


family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM)
s.settimeout(20)
if case == "connect":
    step("connect", lambda: s.connect((host, port)))
elif case == "connect-short":
    s.settimeout(1)
    step("connect", lambda: s.connect((host, port)))
elif case == "connect-forever":
    s.settimeout(None)
    step("connect", lambda: s.connect((host, port)))
elif step("connect", lambda: s.connect((host, port))):
    if case == "read":
        step("read", lambda: read_all(s))
        step("read again", lambda: read_all(s))
    elif case == "send-read":
        step("send", lambda: s.send(b"0123456789"))
        step("read", lambda: read_all(s))
        step("send again", lambda: s.send(b"more"))
    elif case == "read-then-send":
        step("read", lambda: read_all(s))
        step("send", lambda: s.sendall(b"after your end"))
        step("shutdown", lambda: s.shutdown(socket.SHUT_WR))
    elif case == "half-close":
        step("send", lambda: s.sendall(b"question"))
        step("shutdown", lambda: s.shutdown(socket.SHUT_WR))
        step("read", lambda: read_all(s))
    elif case == "never-closed":
        s.settimeout(0.5)
        step("read", lambda: read_all(s))
    elif case == "send-until-error":
        step("read", lambda: len(s.recv(5)))
        step("send", lambda: send_until_error(s))
    elif case == "killed":
        step("send", lambda: s.sendall(b"last words"))
        os.kill(os.getpid(), signal.SIGKILL)
    elif case == "killed-with-data-unread":
        step("peek", lambda: len(s.recv(5, socket.MSG_PEEK)))
        os.kill(os.getpid(), signal.SIGKILL)
    elif case == "exit-with-data-on-the-way":
        # More than fits anywhere on the way while the server does not read.
        step("send", lambda: s.sendall(b"x" * 300_000))
        os._exit(0)
s.close()
