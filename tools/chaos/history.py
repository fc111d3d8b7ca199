"""The events of a run, one JSON object a line. Each line is written at the event and never changed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class History:
    """Append events to ``path`` from any number of threads.

    In each line ``event`` names the event, and ``at`` is the second of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, event: str, **details: Any) -> None:
        at = round(time.monotonic() - self._started, 4)
        line = json.dumps({"at": at, "event": event, **details})
        with self._lock:
            if not self._file.closed:  # after a failed run, client threads may still be running
                self._file.write(line + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a history in the order of their writing."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
