"""``manage.py tour``: make five attacks on the demo, as a client."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo_project.tour import report
from demo_project.tour.client import Service

#: Widths of the columns: the probe, then its result on each service.
TRIED, DID = 38, 32

CLOSING = (
    "Two services that differ in securecore, and five attacks, judged from outside: by the answers and by what was\n"
    "in the ledger afterwards. It shows that these attacks work and where they end, not that there is no sixth."
)


class Command(BaseCommand):
    help = "Attack the protected service and its unprotected twin, and show its result on each of them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        port = os.environ.get("PORT") or "8443"
        parser.add_argument("--url", default=f"https://localhost:{port}", help="where the demo runs (%(default)s)")
        parser.add_argument(
            "--pki", type=Path, default=settings.VAR / "pki", metavar="DIR", help="its certificates (var/pki)"
        )

    def handle(self, *, url: str, pki: Path, **options: Any) -> None:
        url = url.rstrip("/")
        with self._running(url) as started:
            pki = started or pki
            if not (pki / "ca.pem").exists():
                raise CommandError(f"There are no certificates in {pki}. Name their folder with --pki.")
            results = self._attack(url, pki)
        wrong = [result.title for result in results if not result.is_as_it_should_be]
        self.stdout.write(f"\n{CLOSING}")
        if wrong:
            raise CommandError(f"Not as it should be: {', '.join(wrong)}.")

    def _attack(self, url: str, pki: Path) -> list[report.Result]:
        services = {"unprotected": Service(url, "/vulnerable", pki), "protected": Service(url, "", pki)}
        self._row("", *services)
        results = []
        for result in report.run(**services):
            self.stdout.write("")
            for tried, unprotected, protected in report.lines(result):
                self._row(tried, unprotected, protected)
            self.stdout.flush()
            results.append(result)
        return results

    def _row(self, tried: str, unprotected: str, protected: str) -> None:
        cells = f"{tried:<{TRIED}}{unprotected:<{DID}}{protected}"
        self.stdout.write(self.style.MIGRATE_HEADING(cells) if not tried.startswith(" ") else cells)

    @contextlib.contextmanager
    def _running(self, url: str) -> Iterator[Path | None]:
        """Run the demo during the block if nothing answers at ``url``.

        Yields the folder of the certificates of the demo that was started here, else None.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        if parts.scheme != "https" or not host:
            raise CommandError(f"{url} is no https address.")
        if _answers(host, port):
            yield None
            return
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise CommandError(f"Nothing answers at {url}.")
        from demo_project.stack import Stack, StackError

        self.stdout.write(f"Nothing answers at {url}, so a demo of its own starts there.\n\n")
        try:
            with Stack(port=port, var=settings.VAR, database_url=os.environ.get("DATABASE_URL")) as stack:
                yield stack.pki
        except StackError as error:
            raise CommandError(str(error)) from error


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True
