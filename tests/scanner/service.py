"""A service in this process, with responses that the test writes itself."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], Any]


@dataclass
class Service:
    """The URL of the service, and the requests it received."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]


def answer_200(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    return 200, {}, {}


class Server(ThreadingHTTPServer):
    """Accepts every connection of a race at once: a full backlog would delay some by a second."""

    daemon_threads = True
    request_queue_size = 128


@contextlib.contextmanager
def serving(answer: Callable[[str, str, dict[str, str], bytes], Answer]) -> Iterator[Service]:
    """Run a service on loopback. ``answer(method, path, headers, body)`` returns status, headers and JSON."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # one write for head and body; two would cost 40 ms (delayed acknowledgement)

        def handle_any(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            service.asked.append((self.command, self.path, headers, body))
            status, more, document = answer(self.command, self.path, headers, body)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **more,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content if self.command != "HEAD" else b"")

        do_GET = do_POST = do_OPTIONS = do_DELETE = do_PUT = do_PATCH = do_HEAD = handle_any

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
