#!/usr/bin/env python3
"""Fills the network namespace that it runs in with TCP and UDP sockets in every state.

usage: sockets.py COUNT      about so many sockets; says "ready COUNT" when they are there,
                             and keeps them until its standard input ends

Needs root in a namespace of its own whose loopback is up. What is sent through the interface
"void0" (198.51.100.0/24 and 2001:db8:2::/64) arrives nowhere.
"""

import os
import resource
import select
import socket
import subprocess
import sys
import time

COUNT = int(sys.argv[1])
held = []  # sockets stay open while somebody refers to them


def run(command):
    subprocess.run(command, shell=True, check=True)


def wait_for_address(*address):
    """The kernel makes a new IPv6 address its own a moment later: then it refuses what nobody takes."""
    deadline = time.monotonic() + 30
    while True:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(address)
            except ConnectionRefusedError:
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        select.select([], [], [], 0.005)


def write(path, value):
    with open(path, "w") as file:
        file.write(value)


def network():
    run("ip link set lo up")
    run("ip link add void0 type veth peer name void1")
    for name in "void0", "void1":
        run(f"ip link set {name} arp off && ip link set {name} up")
    run("ip address add 198.51.100.1/24 dev void0")
    run("ip -6 address add 2001:db8:2::1/64 dev void0 nodad")
    run("ip -6 address add fe80::7/64 dev void0 nodad")
    run("ip -6 address add fe80::8/64 dev lo nodad")
    wait_for_address("::1", 1)
    wait_for_address("2001:db8:2::1", 1)
    wait_for_address("fe80::8", 1, 0, socket.if_nametoindex("lo"))
    for family in "rmem", "wmem":
        write(f"/proc/sys/net/ipv4/tcp_{family}", "4096 16384 16384")
    write("/proc/sys/net/ipv4/tcp_max_syn_backlog", "4096")
    write("/proc/sys/net/ipv4/ip_local_port_range", "20000 60999")
    write("/proc/sys/net/ipv4/tcp_tw_reuse", "0")
    # Nothing that waits for an answer may give up while somebody looks.
    write("/proc/sys/net/ipv4/tcp_syn_retries", "8")
    write("/proc/sys/net/ipv4/tcp_synack_retries", "8")


def listener(address, port=0, backlog=4096, options=()):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for option in options:
        server.setsockopt(*option)
    server.bind((address, port))
    server.listen(backlog)
    held.append(server)
    return server


def pair(server, source, destination=None):
    """A connection from `source` to `server`: both ends."""
    client = socket.socket(server.family, socket.SOCK_STREAM)
    where = destination or server.getsockname()
    client.bind((source, 0))
    client.connect(where)
    inner, _ = server.accept()
    return client, inner


def fill(sender):
    """Writes until the other side's window is full, and somewhat more."""
    sender.setblocking(False)
    try:
        while True:
            sender.send(b"x" * 16384)
    except BlockingIOError:
        pass


def time_wait(client, server):
    client.close()
    server.close()


def fin_wait_2(client, server):
    client.shutdown(socket.SHUT_WR)
    held.extend((client, server))  # CLOSE-WAIT at the server


def orphan(client, server):
    client.close()
    held.append(server)  # and nobody holds the client in FIN-WAIT-2


def fin_wait_1(client, server):
    fill(client)
    client.close()
    held.append(server)


def last_ack(client, server):
    fill(server)
    client.shutdown(socket.SHUT_WR)
    server.close()
    held.append(client)


def closing(client, server):
    fill(client)
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    held.extend((client, server))


def established(client, server):
    held.extend((client, server))


def talked(client, server):
    client.send(b"a" * 100)
    server.send(b"b" * 3000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7)
    held.extend((client, server))


def window(client, server):
    fill(client)
    held.extend((client, server))


WAYS = [established, talked, window, time_wait, fin_wait_2, orphan, fin_wait_1, last_ack, closing]


def syn_sent(family, destination):
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setblocking(False)
    client.connect_ex(destination)
    held.append(client)


def deferred(server):
    """The server waits in SYN-RECV for data."""
    client = socket.socket(server.family, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    held.append(client)


def datagrams():
    for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.bind((address, 0))
        connected = socket.socket(family, socket.SOCK_DGRAM)
        connected.connect(bound.getsockname())
        connected.send(b"unread")
        held.extend((bound, connected))
    for address, only in ("::", 0), ("::", 1):
        wild = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        wild.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        wild.bind((address, 0))
        held.append(wild)


def main():
    network()
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    v4 = listener("127.0.0.1", 7000)
    v6 = listener("::1", 7000)
    both = listener("::", 7001)
    listener("::", 7002, options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)])
    listener("0.0.0.0", 7002, backlog=5)
    listener("127.0.0.1", 22)
    on_device = listener("0.0.0.0", 7003, options=[(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")])
    defer = [(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)]
    late_v4 = listener("127.0.0.1", 7004, options=defer)
    late_v6 = listener("::1", 7004, options=defer)
    cubic = [(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")]
    reno = listener("127.0.0.2", 7005, options=cubic)
    scope = socket.if_nametoindex("lo")
    local = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    local.bind(("fe80::8", 7006, 0, scope))
    local.listen(8)
    held.append(local)
    for _ in range(2):
        client = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        client.connect(("fe80::8", 7006, 0, scope))
        held.extend((client, local.accept()[0]))
    established(*pair(on_device, "127.0.0.1", ("127.0.0.1", 7003)))
    # A backlog that is full: nobody accepts.
    full = listener("127.0.0.1", 7007, backlog=2)
    for _ in range(3):
        client = socket.socket()
        client.connect(full.getsockname())
        held.append(client)
    datagrams()

    # Two of each connection: both ends.
    rounds = max(1, COUNT // (2 * 4 * len(WAYS)))
    for number in range(rounds):
        for way in WAYS:
            host = f"127.0.{1 + number % 200}.{1 + number // 200}"
            way(*pair(v4, host))
            way(*pair(v6, "::1"))
            mapped = socket.socket()
            mapped.bind((host, 0))
            mapped.connect(("127.0.0.1", 7001))
            way(mapped, both.accept()[0])
            way(*pair(reno, host))
        syn_sent(socket.AF_INET, ("198.51.100.66", 80 + number))
        syn_sent(socket.AF_INET6, ("2001:db8:2::66", 80 + number))
        deferred(late_v4)
        deferred(late_v6)
    # One socket held by several processes and several descriptors.
    shared = listener("127.0.0.1", 7008)
    held.append(os.dup(shared.fileno()))
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print("ready", len(held), flush=True)
    sys.stdin.read()


main()
