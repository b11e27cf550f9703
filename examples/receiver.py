"""The smallest receiver of Kanal's webhooks: prints what arrives. Standard library only.

    python3 examples/receiver.py [PORT]

A real one checks the signature and drops ids that it knows; see own_chat/ beside this file.
"""

import contextlib
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(f"\n{self.path}  {self.headers['webhook-id']}")
        for name, value in parse_qsl(body.decode(), keep_blank_values=True):
            print(f"  {name:26} {value}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    print(f"Listening on http://127.0.0.1:{port}; Ctrl-C ends it", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
