"""One way for a connection to end, played from both sides.

    cases.py peer CASE ADDRESS             prints "ready PORT", then what the server's calls returned
    cases.py program CASE ADDRESS PORT     prints what the program's calls returned

A case is a class: `program` gets an unconnected socket, `peer` an accepted one. Every call is
printed with its result or the name of its errno, and nothing is printed that may differ between two
runs over the same network: no times, no sizes of single reads.
"""

import errno
import fcntl
import hashlib
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time

# Long enough for a busy machine, short enough to end a run that hangs.
PATIENCE = 20
MEGABYTE = 1 << 20


def name(error):
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout"
    return errno.errorcode.get(error.errno, str(error))


def say(text):
    print(text, flush=True)


def body(length, seed):
    """Bytes in which no stretch repeats, so that a lost or doubled one shows."""
    out = bytearray()
    block = seed.encode()
    while len(out) < length:
        block = hashlib.sha512(block).digest()
        out += block
    return bytes(out[:length])


class Talker:
    """A socket whose calls are printed."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)

    def attempt(self, what, call):
        try:
            result = call()
        except OSError as error:
            say(f"{what}: {name(error)}")
            return None
        say(f"{what}: {'ok' if result is None else result}")
        return result

    def connect(self, to):
        self.attempt("connect", lambda: self.sock.connect(to))

    def send(self, data, quietly=False):
        try:
            self.sock.sendall(data)
        except OSError as error:
            say(f"send {len(data)}: {name(error)}")
            return
        if not quietly:
            say(f"send {len(data)}: ok")

    def recv(self, length=1):
        self.attempt(f"recv {length}", lambda: self.sock.recv(length))

    def recv_exactly(self, length):
        got, end = self._collect(length)
        digest = hashlib.sha256(got).hexdigest()[:16]
        say(f"recv exactly {length}: {len(got)} bytes {digest} {end}".rstrip())

    def recv_all(self):
        got, end = self._collect(None)
        say(f"recv all: {len(got)} bytes {hashlib.sha256(got).hexdigest()[:16]} {end}")
        return got

    def recv_until_error(self):
        """How it ended, but not how much came: that is a matter of luck."""
        say(f"recv until error: {self._collect(None)[1]}")

    def _collect(self, length):
        got = bytearray()
        while length is None or len(got) < length:
            wanted = 65536 if length is None else length - len(got)
            try:
                chunk = self.sock.recv(wanted)
            except OSError as error:
                return bytes(got), name(error)
            if not chunk:
                return bytes(got), "EOF"
            got += chunk
        return bytes(got), ""

    def shutdown_write(self):
        self.attempt("shutdown write", lambda: self.sock.shutdown(socket.SHUT_WR))

    def close(self):
        self.sock.close()
        say("close")

    def reset(self):
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        say("reset")

    def poll(self, events, wanted):
        """Wait until one of `wanted` shows, and print all that is then set."""
        poll = select.poll()
        poll.register(self.sock, events)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for _, got in poll.poll(1000):
                if got & wanted:
                    names = ("IN", "OUT", "ERR", "HUP", "RDHUP")
                    shown = [n for n in names if got & getattr(select, f"POLL{n}")]
                    say(f"poll: {' '.join(shown)}")
                    return
            time.sleep(0.002)
        say("poll: nothing")

    def wait_for_connect(self):
        """Wait for the end of an attempt; how poll says so depends on the moment it looks."""
        select.select([], [self.sock], [], PATIENCE)

    def wait_for_error(self):
        self.poll(0, select.POLLERR | select.POLLHUP)

    def wait_for_unread(self, length):
        """Wait until so many bytes lie in the socket, unread."""
        self._wait_for(termios.FIONREAD, lambda queued: queued >= length, f"unread {length}")

    def wait_for_acknowledged(self):
        """Wait until the other end has taken all that was sent."""
        self._wait_for(termios.TIOCOUTQ, lambda queued: queued == 0, "acknowledged")

    def _wait_for(self, request, enough, what):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            queued = struct.unpack("i", fcntl.ioctl(self.sock, request, bytes(4)))[0]
            if enough(queued):
                say(f"{what}: yes")
                return
            time.sleep(0.002)
        say(f"{what}: no ({queued})")

    def error(self):
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        say(f"SO_ERROR: {errno.errorcode.get(code, code)}")

    def send_in_background(self, data):
        thread = threading.Thread(target=self.send, args=(data, True))
        thread.start()
        return thread


class Case:
    kind = socket.SOCK_STREAM
    # Whether the peer listens at all.
    listens = True

    def peer(self, it):
        pass


class refused(Case):
    listens = False

    def program(self, it, to):
        it.connect(to)
        it.connect(to)
        it.sock.close()
        second = Talker(socket.socket(it.sock.family))
        second.sock.setblocking(False)
        second.connect(to)
        second.wait_for_connect()
        second.error()


class reset_mid_stream(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv_exactly(MEGABYTE)
        it.send(b"!")
        it.recv()
        it.recv()
        it.send(b"?")

    def peer(self, it):
        it.send(body(MEGABYTE, "stream"))
        it.recv()
        it.reset()


class reset_while_the_program_writes(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv()
        try:
            for _ in range(1000):
                it.sock.sendall(bytes(65536))
            say("send: never failed")
        except OSError as error:
            say(f"send: {name(error)}")
        it.send(b"?")
        it.recv()

    def peer(self, it):
        it.send(b"!")
        it.recv_exactly(MEGABYTE)
        it.reset()


class reset_behind_unread_data(Case):
    """What was acknowledged before the reset is still there to be read."""

    def program(self, it, to):
        it.connect(to)
        it.send(b"!")
        it.wait_for_error()
        it.recv_exactly(40_000)
        it.recv()
        it.recv()

    def peer(self, it):
        it.recv()
        it.send(body(40_000, "behind"))
        it.wait_for_acknowledged()
        it.reset()


class peer_closes_with_data_unread(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(bytes(40_000))
        it.wait_for_error()
        it.recv()
        it.recv()
        it.send(b"?")

    def peer(self, it):
        it.wait_for_unread(40_000)
        it.close()


class program_closes_with_data_unread(Case):
    def program(self, it, to):
        it.connect(to)
        it.wait_for_unread(40_000)
        it.close()

    def peer(self, it):
        it.send(bytes(40_000))
        it.wait_for_error()
        it.recv()
        it.send(b"?")
        it.recv()


class program_resets(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(body(50_000, "program"))
        it.recv()
        it.reset()

    def peer(self, it):
        it.recv_exactly(50_000)
        it.send(b"!")
        it.wait_for_error()
        it.recv()
        it.recv()
        it.send(b"?")


class peer_half_closes_and_still_reads(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv_all()
        it.poll(select.POLLIN | select.POLLOUT | select.POLLRDHUP, select.POLLRDHUP)
        it.send(body(3 * MEGABYTE, "answer"))
        it.recv()
        it.close()

    def peer(self, it):
        it.send(body(3 * MEGABYTE, "question"))
        it.shutdown_write()
        it.send(b"?")
        it.recv_all()
        it.close()


class program_half_closes_and_still_reads(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(body(3 * MEGABYTE, "question"))
        it.shutdown_write()
        it.send(b"?")
        it.recv_all()
        it.close()

    def peer(self, it):
        it.recv_all()
        it.poll(select.POLLIN | select.POLLOUT | select.POLLRDHUP, select.POLLRDHUP)
        it.send(body(3 * MEGABYTE, "answer"))
        it.close()


class both_send_and_half_close(Case):
    def both(self, it, mine):
        thread = it.send_in_background(body(4 * MEGABYTE, mine))
        it.recv_exactly(4 * MEGABYTE)
        thread.join()
        it.shutdown_write()
        it.recv()
        it.close()

    def program(self, it, to):
        it.connect(to)
        self.both(it, "from the program")

    def peer(self, it):
        self.both(it, "from the peer")


class peer_never_closes(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv_exactly(5)
        it.sock.settimeout(0.3)
        it.recv()
        it.close()

    def peer(self, it):
        it.send(b"hello")
        it.recv()
        it.send(b"late")
        it.wait_for_error()
        it.send(b"later")
        it.recv()


class accepts_and_closes_at_once(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv()
        it.send(b"too late")
        it.wait_for_error()
        it.send(b"far too late")
        it.recv()

    def peer(self, it):
        it.close()


class accepts_and_resets_at_once(Case):
    def program(self, it, to):
        # The reset may come before connect has returned, or after.
        try:
            it.sock.connect(to)
            it.sock.recv(1)
            say("EOF")
        except OSError as error:
            say(f"connect or recv: {name(error)}")
        it.recv()

    def peer(self, it):
        it.reset()


class slow_program_gets_all_of_a_peer_that_left(Case):
    def program(self, it, to):
        it.connect(to)
        time.sleep(0.3)
        it.recv_all()
        it.close()

    def peer(self, it):
        it.send(body(5 * MEGABYTE, "all of it"))
        it.close()


class slow_peer_gets_all_of_a_program_that_left(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(body(5 * MEGABYTE, "all of it"))
        it.close()

    def peer(self, it):
        time.sleep(0.3)
        it.recv_all()
        it.close()


class lingering_close_waits_for_the_peer(Case):
    def program(self, it, to):
        it.connect(to)
        it.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, PATIENCE))
        it.send(body(2 * MEGABYTE, "linger"))
        it.close()

    def peer(self, it):
        time.sleep(0.2)
        it.recv_all()


class back_pressure_reaches_the_program(Case):
    """A peer that does not read stops the program before all memory is full."""

    def program(self, it, to):
        it.connect(to)
        # The peer hears datagrams too.
        it.recv()
        it.sock.setblocking(False)
        sent, still = 0, 0
        chunk = bytes(65536)
        # Half a second without room is a full path; a path without back-pressure never fills.
        while sent < 256 * MEGABYTE and still < 50:
            try:
                sent += it.sock.send(chunk)
                still = 0
            except BlockingIOError:
                still += 1
                time.sleep(0.01)
        say("full" if sent < 256 * MEGABYTE else "never full")
        socket.socket(it.sock.family, socket.SOCK_DGRAM).sendto(b"read", to)
        it.sock.settimeout(PATIENCE)
        it.shutdown_write()
        told = struct.unpack("!Q", it.sock.recv(8))[0]
        say(f"the peer got all of it: {told == sent}")

    def peer(self, it):
        word = socket.socket(it.sock.family, socket.SOCK_DGRAM)
        word.settimeout(PATIENCE)
        word.bind(it.sock.getsockname())
        it.send(b"!")
        word.recv(4)
        total = 0
        while chunk := it.sock.recv(1 << 20):
            total += len(chunk)
        it.sock.sendall(struct.pack("!Q", total))
        say("EOF")


class program_writes_after_a_reset(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(b"!")
        it.wait_for_error()
        it.send(b"first")
        it.send(b"second")
        it.recv()

    def peer(self, it):
        it.recv()
        it.reset()


class program_killed(Case):
    def program(self, it, to):
        it.connect(to)
        it.send(body(MEGABYTE, "last words"))
        it.recv()
        os.kill(os.getpid(), signal.SIGKILL)

    def peer(self, it):
        it.recv_exactly(MEGABYTE)
        it.send(b"!")
        it.recv()
        it.close()


class program_killed_with_data_unread(Case):
    def program(self, it, to):
        it.connect(to)
        it.wait_for_unread(10_000)
        os.kill(os.getpid(), signal.SIGKILL)

    def peer(self, it):
        it.send(bytes(10_000))
        it.wait_for_error()
        it.recv()


class small_writes_keep_their_order(Case):
    """A thousand questions and answers of a few bytes each."""

    def program(self, it, to):
        it.connect(to)
        it.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(1000):
            it.sock.sendall(struct.pack("!I", number))
            if it.sock.recv(4, socket.MSG_WAITALL) != struct.pack("!I", number + 1):
                say(f"wrong answer to {number}")
        it.close()

    def peer(self, it):
        it.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while question := it.sock.recv(4, socket.MSG_WAITALL):
            it.sock.sendall(struct.pack("!I", struct.unpack("!I", question)[0] + 1))
        say("EOF")


# Without a peer: the address alone decides how the attempt ends.


class connect_in_vain(Case):
    def program(self, it, to):
        it.connect(to)
        it.sock.close()
        second = Talker(socket.socket(it.sock.family))
        second.sock.setblocking(False)
        second.connect(to)
        second.wait_for_connect()
        second.error()


class black_hole(Case):
    def program(self, it, to):
        it.sock.settimeout(0.7)
        it.connect(to)
        it.sock.close()
        patient = Talker(socket.socket(it.sock.family))
        # One SYN and one retransmission: the kernel gives up after three seconds.
        patient.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        patient.connect(to)


class stuck_connecting(Case):
    """Sits in connect until a signal ends it; Ctrl-C kills it as it kills a C program."""

    def program(self, it, to):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        say("connecting")
        it.sock.settimeout(None)
        it.connect(to)


class sits_connected(Case):
    def program(self, it, to):
        it.connect(to)
        it.recv()
        say("connected")
        it.sock.settimeout(None)
        it.recv()

    def peer(self, it):
        it.send(b"!")
        it.recv_until_error()


class Datagrams(Case):
    kind = socket.SOCK_DGRAM


class datagrams_are_echoed(Datagrams):
    def program(self, it, to):
        for length in (0, 1, 512, 1472, 1473, 9000, 60_000):
            data = body(length, "datagram")
            it.sock.sendto(data, to)
            answer, sender = it.sock.recvfrom(65536)
            say(f"{length}: {'echoed' if answer == data else 'spoilt'} by {sender[0]}")
        it.connect(to)
        for number in range(200):
            it.sock.send(struct.pack("!I", number))
            if it.sock.recv(4) != struct.pack("!I", number):
                say(f"wrong answer to {number}")
        it.sock.send(b"end")

    def peer(self, it):
        while True:
            data, sender = it.sock.recvfrom(65536)
            if data == b"end":
                say("end")
                return
            it.sock.sendto(data, sender)


class datagrams_are_refused(Datagrams):
    listens = False

    def program(self, it, to):
        it.connect(to)
        it.send(b"?")
        it.poll(select.POLLIN, select.POLLIN | select.POLLERR)
        it.recv()
        it.send(b"?")
        it.wait_for_error()
        it.send(b"?")


class datagrams_in_vain(Datagrams):
    def program(self, it, to):
        it.connect(to)
        it.send(b"?")
        it.sock.settimeout(1)
        it.recv()


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(case, address):
    server = socket.socket(family(address), case.kind)
    server.bind((address, 0))
    if not case.listens:
        # Holds the port, so that nobody else listens there meanwhile.
        if case.kind == socket.SOCK_DGRAM:
            port = server.getsockname()[1]
            server.close()
            say(f"ready {port}")
        else:
            say(f"ready {server.getsockname()[1]}")
        sys.stdin.read()
        return
    if case.kind == socket.SOCK_STREAM:
        server.listen()
    say(f"ready {server.getsockname()[1]}")
    if case.kind == socket.SOCK_STREAM:
        server.settimeout(PATIENCE)
        server, _ = server.accept()
    case.peer(Talker(server))


def main():
    role, case, address = sys.argv[1:4]
    case = globals()[case]()
    if role == "peer":
        serve(case, address)
    else:
        sock = socket.socket(family(address), case.kind)
        case.program(Talker(sock), (address, int(sys.argv[4])))


if __name__ == "__main__":
    main()
