from __future__ import annotations

import argparse
from typing import Any

from securecore import clock
from securecore.management.terminal import TerminalCommand, whole
from securecore.purge import BATCH_SIZE, count_expired, purge


class Command(TerminalCommand):
    help = "Delete expired nonces, revoked tokens, idempotency records, sessions, certificates and old grants."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
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
        if self.stdout.isatty():
            self.stdout.write("\r\033[K", ending="")
        self._report(purged.rows, "deleted")
        if not purged.finished:
            self.stdout.write(f"Stopped after {max_seconds} seconds; run it again for the rest.")

    def _progress(self, table: str, rows: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r\033[K{table}: {rows:,} deleted", ending="")
            self.stdout.flush()

    def _report(self, rows: dict[str, int], outcome: str) -> None:
        width = max(map(len, rows), default=0)
        for table, count in rows.items():
            self.stdout.write(f"{table:{width}} {count:>12,} {outcome}")
