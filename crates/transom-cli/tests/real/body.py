"""A body that no disk has to hold: made, sent, received and hashed as it passes.

    body.py make LENGTH            the body, on standard output
    body.py digest LENGTH          its SHA-256
    body.py serve ADDRESS PORT     over HTTP/1.1: GET /LENGTH gives it, PUT is answered with what came: its SHA-256
"""

import hashlib
import http.server
import random
import sys

BLOCK = random.Random(11699).randbytes(1 << 18)


def parts(length):
    # Each block begins with its number, so that no stretch repeats.
    for number in range(0, -(-length // len(BLOCK))):
        part = number.to_bytes(8, "big") + BLOCK[8:]
        yield part[: length - number * len(BLOCK)]


def digest(of):
    seen = hashlib.sha256()
    for part in of:
        seen.update(part)
    return seen.hexdigest()


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        for part in parts(length):
            self.wfile.write(part)

    def do_PUT(self):
        answer = digest(self.received(int(self.headers["Content-Length"]))).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def received(self, left):
        while left > 0:
            part = self.rfile.read(min(left, len(BLOCK)))
            if not part:
                return
            left -= len(part)
            yield part

    def log_message(self, *_):
        pass


def main(what, *words):
    if what == "make":
        for part in parts(int(words[0])):
            sys.stdout.buffer.write(part)
    elif what == "digest":
        print(digest(parts(int(words[0]))))
    else:
        with http.server.ThreadingHTTPServer((words[0], int(words[1])), Answers) as server:
            print("ready", flush=True)
            server.serve_forever()


main(*sys.argv[1:])
