from __future__ import annotations

import argparse
from typing import Any

from securecore import clock
from securecore.management.terminal import TerminalCommand, add_common, whole
from securecore.purge import BATCH_SIZE, count_expired, purge


class Command(TerminalCommand):
    help = "Delete expired nonces, revoked tokens, idempotency records, sessions, certificates and old grants."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_common(parser)
        parser.add_argument("--dry-run", action="store_true", help="count the expired rows and delete nothing")
        parser.add_argument(
            "--batch-size", type=whole(1, 1_000_000), default=BATCH_SIZE, help="rows in one transaction (%(default)s)"
        )
        parser.add_argument("--max-seconds", type=float, help="stop after this long; the next run goes on")

    def handle(self, *args: Any, dry_run: bool, batch_size: int, max_seconds: float | None, **options: Any) -> None:
        now = clock.now()
        if dry_run:
            self._report(count_expired(now=now), "would be deleted")
            return
        purged = purge(now=now, batch_size=batch_size, max_seconds=max_seconds, progress=self._progress)
        if self._has_progress():
            self.stdout.write("\r\033[K", ending="")
        self._report(purged.rows, "deleted", finished=purged.finished)
        if not purged.finished and not self._as_json:
            self.say(f"Stopped after {max_seconds} seconds; run it again for the rest.")

    def _has_progress(self) -> bool:
        return self.stdout.isatty() and not self._is_silent and not self._as_json

    def _progress(self, table: str, rows: int) -> None:
        if self._has_progress():
            self.stdout.write(f"\r\033[K{table}: {rows:,} deleted", ending="")
            self.stdout.flush()

    def _report(self, rows: dict[str, int], outcome: str, **more: Any) -> None:
        if self._as_json:
            self.show(rows=rows, **more)
            return
        width = max(map(len, rows), default=0)
        for table, count in rows.items():
            self.say(f"{table:{width}} {count:>12,} {outcome}")
