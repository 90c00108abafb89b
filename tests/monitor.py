"""A monitor as a real HTTP server on loopback, which may answer, refuse, or let one wait."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Monitor(ThreadingHTTPServer):
    """Records the paths that it was asked for, and what was posted.

    ``status`` is its answer; ``drip`` sends a byte a second instead.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        self.drip = False
        self.closing = threading.Event()
        self._serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._serving.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ping/0f7c-secret"

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self._serving.join(10)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Monitor

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.server.drip:
            while not self.server.closing.wait(1):
                self.wfile.write(b"H")
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep silent."""
