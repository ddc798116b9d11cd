"""An OAuth server in a thread. Its tokens are not signed: a Kafka that is told nothing else takes them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def unsigned_token(subject: str, seconds: int) -> str:
    """A token that ends after `seconds`; negative: that has ended."""
    now = int(time.time())
    claims = {"sub": subject, "iat": now - 3_600, "exp": now + seconds}
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims))
    return f"{'.'.join(parts)}."


@contextmanager
def oauth_server(subject: str, seconds: int = 600) -> Iterator[str]:
    """The address at which it gives tokens of a subject."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"access_token": unsigned_token(subject, seconds), "expires_in": max(1, seconds)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
