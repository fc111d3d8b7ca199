"""Requests to the service, over its unix socket, as nginx would forward them."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 30  # seconds for one request


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class NoAnswer(Exception):
    """The connection broke before the whole response arrived. The request may or may not have had its effect."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def send(path: Path, method: str, url: str, *, body: str = "", headers: dict[str, str]) -> Answer:
    """Make one request to the socket ``path`` on a connection of its own. Raises ``NoAnswer``."""
    connection = _Connection(path)
    try:
        connection.request(method, url, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


@contextmanager
def clients(count: int, work: Callable[[], None]) -> Iterator[Callable[[float], bool]]:
    """Run ``work`` in ``count`` threads beside the block, and wait for the threads at the end of the block.

    The block gets a function ``over(seconds)``: it waits until all threads have ended, at most for ``seconds``, and
    returns whether all have ended. If the block raises, the threads are not waited for.
    """
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]

    def over(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    for thread in threads:
        thread.start()
    yield over
    for thread in threads:
        thread.join()
