"""Run the soak and judge it; see the package's docstring. Exit code 0 means a good verdict."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.pages import refreshed
from demo_project.stack import Stack
from tests.support.tree import ROOT
from tools.soak import memory, visitor
from tools.soak.memory import Sample
from tools.soak.population import CERTIFICATES_PER_USER, write_keys

VISITORS = 8
#: Seconds between two samples.
SAMPLE_EVERY = 2.0
#: Seconds between two lines of progress.
TOLD_EVERY = 60.0
SETTINGS = "tools.soak.settings"


@dataclass
class Soak:
    """The running soak. ``visited`` is the number of certificates with an answer to each request."""

    stack: Stack
    environment: dict[str, str]
    certificates: int
    protected: list[Sample] = field(default_factory=list)
    twin: list[Sample] = field(default_factory=list)
    visited: int = 0
    #: Answers of 503 with ``Retry-After``.
    busy: int = 0
    _protected: list[psutil.Process] = field(default_factory=list)
    _twin: list[psutil.Process] = field(default_factory=list)

    def run(self, keys: Path, seconds: float) -> None:
        """Send all requests, or those that the time permits, and sample the memory meanwhile."""
        deadline = time.monotonic() + seconds
        told = time.monotonic()
        # The same processes to the end: a worker that is replaced would hide its leak, and raises an error here.
        self._protected, self._twin = workers("app.sock"), workers("vulnerable.sock")
        visitors = [self._visitor(keys, first) for first in range(VISITORS)]
        readers = [threading.Thread(target=self._count, args=(each,), daemon=True) for each in visitors]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers) and time.monotonic() < deadline:
            if any(each.poll() for each in visitors):
                break  # the message of a visitor stands on stderr
            self._sample()
            if time.monotonic() - told >= TOLD_EVERY:
                told = time.monotonic()
                self._tell()
            time.sleep(SAMPLE_EVERY)
        failed = [each for each in visitors if each.poll()]
        for each in visitors:
            if failed or time.monotonic() >= deadline:
                each.terminate()
            each.wait()
        if failed:
            raise SystemExit("a visitor failed; its message stands above")
        self._sample()

    def _visitor(self, keys: Path, first: int) -> subprocess.Popen[bytes]:
        given = [self.stack.url, str(self.stack.pki), str(keys), str(first), str(self.certificates), str(VISITORS)]
        command = [sys.executable, "-m", "tools.soak.visitor", *given]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def _count(self, visitor: subprocess.Popen[bytes]) -> None:
        assert visitor.stdout is not None
        for line in visitor.stdout:
            with _COUNTING:
                if line.strip() == b"busy":
                    self.busy += 1
                else:
                    self.visited += 1

    def _sample(self) -> None:
        requests = self.visited * visitor.REQUESTS
        self.protected.append(Sample(requests, memory.used(self._protected)))
        self.twin.append(Sample(requests, memory.used(self._twin)))

    def _tell(self) -> None:
        protected, twin = self.protected[-1], self.twin[-1]
        line = f"{protected.requests:>9,} requests: {protected.mebibytes:.1f} MiB, the twin {twin.mebibytes:.1f} MiB"
        print(line, file=sys.stderr, flush=True)

    def manage(self, *arguments: str) -> Any:
        """Run a module of the soak with the service's settings; return the JSON that it prints."""
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        return json.loads(done.stdout) if done.stdout else None


_COUNTING = threading.Lock()


def workers(socket: str) -> list[psutil.Process]:
    """Return the workers of the gunicorn on this socket: the children of its master."""
    started = [each for each in psutil.Process().children(recursive=True) if f"unix:{socket}" in each.cmdline()]
    return [each for each in started if each.parent() in started]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after this time with fewer requests")
    parser.add_argument("--chart", type=Path, help="the file for the SVG")
    parser.add_argument("--into", type=Path, help="the page of the manual that shows the output")
    chosen = parser.parse_args()
    certificates = max(VISITORS, chosen.requests // visitor.REQUESTS)
    server = os.environ["TEST_DATABASE_URL"]
    name = f"soak_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        with tempfile.TemporaryDirectory(prefix="securecore-soak-") as folder:
            return _soak(Path(folder), f"{server.rpartition('/')[0]}/{name}", certificates, chosen)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _soak(folder: Path, url: str, certificates: int, chosen: argparse.Namespace) -> int:
    port = 20_000 + secrets.randbelow(12_768)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS, "DEMO_VAR": str(folder), "DATABASE_URL": url}
    with Stack(port=port, var=folder, database_url=url, settings=SETTINGS) as stack:
        soak = Soak(stack, environment | {"PORT": str(port)}, certificates)
        keys = folder / "keys.json"
        write_keys(keys, max(1, certificates // CERTIFICATES_PER_USER))
        soak.manage("tools.soak.population", str(keys))
        floor = soak.manage("tools.soak.tables", "count")
        began = time.monotonic()
        soak.run(keys, chosen.seconds)
        seconds = time.monotonic() - began
        full = soak.manage("tools.soak.tables", "count")
        left = soak.manage("tools.soak.tables", "purge")
    if chosen.chart:
        title = f"Memory of the workers in MiB, over {soak.visited * visitor.REQUESTS:,} requests"
        lines = {"securecore": soak.protected, "the twin": soak.twin}
        chosen.chart.write_text(memory.chart(title, lines))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = report(soak, seconds, floor, full, left)
    print(printed.getvalue(), end="")
    if chosen.into:
        shown = "".join(f"    {line}\n" for line in printed.getvalue().splitlines())
        page = refreshed(chosen.into.read_text(), "Memory and tables under endless callers", "soak", shown)
        chosen.into.write_text(page)
    return code


def report(soak: Soak, seconds: float, floor: Any, full: Any, left: Any) -> int:
    """Print the numbers and the verdict; return 0 for a good one."""
    requests = soak.visited * visitor.REQUESTS
    print(f"{requests:,} requests with {soak.visited:,} certificates in {seconds:.0f} s, {requests / seconds:.0f}/s")
    print(f"  {soak.busy:,} answers of 503 with Retry-After, which the client obeyed")
    slopes = {}
    for name, samples in (("securecore", soak.protected), ("the twin", soak.twin)):
        slopes[name] = memory.slope(samples)
        print(
            f"  {name:12} {samples[0].mebibytes:7.1f} MiB, then {samples[-1].mebibytes:7.1f}: "
            f"{slopes[name]:+.1f} MiB for each million requests after the warm-up"
        )
    grown = {table: count for table, count in full["rows"].items() if count != floor["rows"][table]}
    for table, count in sorted(grown.items()):
        print(
            f"  {table:36} {floor['rows'][table]:>9,} rows, then {count:>9,}, after the purge {left['rows'][table]:,}"
        )
    print(
        f"  bytes of all tables: {floor['bytes']:,}, then {full['bytes']:,}, after purge and VACUUM {left['bytes']:,}"
    )
    problems = []
    is_judged, limit = requests >= memory.JUDGED, memory.limit(soak.protected)
    if is_judged and slopes["securecore"] > limit:
        problems.append(f"the memory grows by {slopes['securecore']:.1f} MiB, and {limit:.1f} are allowed")
    if is_judged and slopes["the twin"] <= limit:
        problems.append("the leak of the twin is not seen, so the measurement proves nothing")
    for table in grown:
        if left["rows"][table] > floor["rows"][table]:
            problems.append(f"{table} has {left['rows'][table]} rows after the purge")
    if not grown:
        problems.append("no table has grown")
    flat = f"flat memory (limit {limit:.1f} MiB)" if is_judged else "too few requests to judge the memory"
    good = f"{flat}, tables back at their floor"
    print(f"{'BAD' if problems else 'GOOD'}: {'; '.join(problems) or good}")
    return 1 if problems else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
