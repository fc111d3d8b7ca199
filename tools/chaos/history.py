"""What happened, one JSON object a line, written as it happens and never changed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class History:
    """Appends to ``path`` from any number of threads. Every line says ``what`` happened and ``at`` which second."""

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

    def write(self, what: str, **details: Any) -> None:
        at = round(time.monotonic() - self._started, 4)
        line = json.dumps({"at": at, "what": what, **details})
        with self._lock:
            if not self._file.closed:  # a run that failed leaves clients behind
                self._file.write(line + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a history, in the order in which they were written."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
