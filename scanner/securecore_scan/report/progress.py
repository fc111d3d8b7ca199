"""The progress bar."""

from __future__ import annotations

from typing import IO

from securecore_scan.checks import Check

_WIDTH = 24


class Progress:
    """Redraws one line of a terminal. Writes nothing if the stream is not a terminal or with --quiet."""

    def __init__(self, stream: IO[str], total: int, *, is_quiet: bool) -> None:
        self._stream = stream
        self._total = total
        self._shown = stream.isatty() and not is_quiet

    def show(self, number: int, check: Check) -> None:
        """Show the check that runs now."""
        if self._shown:
            done = _WIDTH * number // self._total
            bar = "#" * done + "." * (_WIDTH - done)
            self._stream.write(f"\r\033[K[{bar}] {number + 1}/{self._total} {check.title[:50]}")
            self._stream.flush()

    def end(self) -> None:
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()
