"""A way to a server that fails as ways to servers do: slow, refusing, cut before or after the server did its part."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Faults = Callable[[], str]


class FlakyProxy(ThreadingHTTPServer):
    """Hands requests on to `port`. Before each it asks `fault`, which answers one of

    - `none`: it is handed on;
    - `slow`: handed on after `delay` seconds;
    - `error`: status 500; `foreign`: status 400 with a page that is not MLflow's;
    - `cut`: the connection ends without an answer, and the server never heard of it;
    - `lost`: the server did what was asked, and its answer is lost.
    """

    daemon_threads = True

    def __init__(self, port: int, fault: Faults = lambda: "none", delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend, self.fault, self.delay = port, fault, delay
        self.met: Counter[str] = Counter()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has lost its patience is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: FlakyProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault()
        self.server.met[fault] += 1
        if fault == "cut":
            self.close_connection = True
            return
        if fault in ("error", "foreign"):
            self._answer(500 if fault == "error" else 400, "text/html", b"<h1>Something on the way</h1>")
            return
        if fault == "slow":
            time.sleep(self.server.delay)
        backend = http.client.HTTPConnection("127.0.0.1", self.server.backend, timeout=60)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
        backend.request(self.command, self.path, body, headers)
        answer = backend.getresponse()
        content = answer.read()
        backend.close()
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheader("Content-Type", "text/plain"), content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
