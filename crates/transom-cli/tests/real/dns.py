"""A name server with a few names, over UDP and TCP.

    dns.py ADDRESS NAME=ADDRESS,ADDRESS,...

A name whose addresses do not fit into 512 bytes is answered over UDP with the TC bit alone, so that
the resolver comes again over TCP. "silent.example" is never answered.
"""

import socket
import struct
import sys
import threading

A, AAAA = 1, 28
NAMES = dict(word.split("=") for word in sys.argv[2:])


def answer(query, longest):
    number, flags = struct.unpack("!HH", query[:4])
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode())
        end += 1 + query[end]
    kind = struct.unpack("!H", query[end + 1 : end + 3])[0]
    question = query[12 : end + 5]
    name = ".".join(labels).lower()
    if name == "silent.example":
        return None
    found = NAMES.get(name)
    records = []
    for address in (found or "").split(","):
        packed = None
        if kind == A and "." in address:
            packed = socket.inet_pton(socket.AF_INET, address)
        if kind == AAAA and ":" in address:
            packed = socket.inet_pton(socket.AF_INET6, address)
        if packed:
            records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(packed)) + packed)
    code = 0 if found else 3
    # QR, AA, RD as asked, RA.
    flags = 0x8480 | flags & 0x0100 | code
    head = struct.pack("!HHHHHH", number, flags, 1, len(records), 0, 0)
    full = head + question + b"".join(records)
    if len(full) > longest:
        return struct.pack("!HHHHHH", number, flags | 0x0200, 1, 0, 0, 0) + question
    return full


def serve_stream(sock):
    with sock:
        while len(length := sock.recv(2, socket.MSG_WAITALL)) == 2:
            query = sock.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL)
            if (reply := answer(query, 65535)) is not None:
                sock.sendall(struct.pack("!H", len(reply)) + reply)


def serve_streams(server):
    while True:
        sock, _ = server.accept()
        threading.Thread(target=serve_stream, args=(sock,), daemon=True).start()


def main():
    where = (sys.argv[1], 53)
    streams = socket.create_server(where)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(where)
    threading.Thread(target=serve_streams, args=(streams,), daemon=True).start()
    print("ready", flush=True)
    while True:
        query, sender = datagrams.recvfrom(512)
        if (reply := answer(query, 512)) is not None:
            datagrams.sendto(reply, sender)


main()
