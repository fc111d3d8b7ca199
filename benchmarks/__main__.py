"""Run every benchmark, one after the other, and write their output into the pages of the manual.

    python -m tests.support.postgres -- python -m benchmarks [--quick] [--only NAME ...] [--into FOLDER]

Run this on an idle machine: it takes half an hour. ``--only`` refreshes the figures of the named programs and leaves
the others. ``--quick`` makes a few rounds of each, to see that each program works; its figures mean nothing. If the
peer or tool of a program is missing, the run names the program and goes on. Each program's figures are written at once
(pages.py), so that a run that is stopped keeps the figures that it has.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.pages import refreshed
from tools.chaos.pgbouncer import binary as pgbouncer_binary

ROOT = Path(__file__).resolve().parents[1]
MANUAL = ROOT / "docs"
POSTGRES = "python -m tests.support.postgres -- "


@dataclass(frozen=True)
class Run:
    """One run of a program: its title, its command with the options of a full and of a quick run, and its page."""

    title: str
    program: str
    options: tuple[str, ...] = ()
    quick: tuple[str, ...] = ("--rounds", "1")
    chart: str = ""
    page: str = "performance.md"

    @property
    def name(self) -> str:
        return " ".join((self.program, *self.options[:1]))

    def command(self, *, quick: bool) -> list[str]:
        """Return the command. A full run draws its chart, and a quick one does not overwrite it."""
        drawn = ("--svg", f"docs/{self.chart}") if self.chart and not quick else ()
        return ["python", "-m", f"benchmarks.{self.program}", *self.options, *(self.quick if quick else drawn)]


RUNS = (
    Run("Authentication of a request, with Django's default settings", "auth_cost", chart="auth_cost.svg"),
    Run(
        "Authentication of a request, with `server_side_binding` and `prepare_threshold`", "auth_cost", ("--prepared",)
    ),
    Run("Authentication of a request, behind PgBouncer", "auth_cost", ("--pgbouncer",)),
    Run("A session", "session_cost"),
    Run("An idempotency key", "idempotency_cost", quick=("--rounds", "1", "--keys", "0")),
    Run("An audit row, and metrics", "audit_cost"),
    Run("A revocation under load", "revocation_latency", quick=("--rounds", "1", "--revocations", "2")),
    Run(
        "A revocation beside a client that sends slowly",
        "revocation_latency",
        ("--slow-body",),
        quick=("--rounds", "1", "--revocations", "2"),
    ),
    Run(
        "Requests a second through nginx",
        "throughput",
        quick=("--rounds", "1", "--seconds", "0.5", "--leases", "no lease"),
    ),
    Run("A purge under live traffic", "purge", quick=("--rounds", "1", "--rows", "2000", "--idle", "0.2")),
    Run(
        "Deleted claims beside dropped tables",
        "partitions",
        quick=("--rate", "500", "--seconds", "1", "--lifetime", "1"),
        page="decisions/0017-expired-rows-are-deleted.md",
    ),
    Run("The needs of a large service", "capacity", quick=("--calls", "5"), page="capacity.md"),
    Run("The import of a revocation list", "revocation_list", quick=("--rounds", "1", "--entries", "2000")),
    Run("The pages of the admin", "admin_pages", quick=("--rounds", "1", "--rows", "2000")),
    Run("Bytes of a record", "record_size", quick=("--rows", "500")),
    Run(
        "A request beside many rows",
        "auth_cost",
        ("--rows", "0", "1000000", "10000000"),
        quick=("--rounds", "1", "--rows", "0", "2000"),
    ),
)


def machine() -> str:
    """Return the machine, the date and the versions in one sentence."""
    with psycopg.connect(os.environ["TEST_DATABASE_URL"]) as connection:
        server = connection.info.parameter_status("server_version")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured on {dt.datetime.now(dt.UTC):%d %B %Y} with {os.cpu_count()} cores and {memory:.0f} GiB of "
        f"{platform.machine()}, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}, "
        f"PostgreSQL {server}, psycopg {psycopg.__version__}."
    )


def output(run: Run, *, quick: bool, database_url: str) -> str:
    """Run one program; return its command and its output, as the page shows them. Raises ``CalledProcessError``."""
    command = run.command(quick=quick)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=ROOT,
        env=environment | {"TEST_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)
    shown = "\n".join(f"    {line}".rstrip() for line in done.stdout.strip("\n").splitlines())
    picture = f"\n![{run.title}]({run.chart})\n" if run.chart else ""
    return f"    {POSTGRES}{' '.join(command)}\n{picture}\n{machine()}\n\n{shown}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=", ".join(run.name for run in RUNS))
    parser.add_argument("--into", type=Path, default=MANUAL, help="the folder of the pages")
    arguments = parser.parse_args()
    chosen = [run for run in RUNS if not arguments.only or run.name in arguments.only]
    for run in chosen:
        if "--pgbouncer" in run.options and pgbouncer_binary() is None:
            print(f"{run.name}: left out, no pgbouncer on PATH (Debian: apt install pgbouncer)", flush=True)
            continue
        print(f"{run.name} ...", flush=True)
        text = output(run, quick=arguments.quick, database_url=os.environ["TEST_DATABASE_URL"])
        page = arguments.into / run.page
        page.write_text(refreshed(page.read_text(), run.title, run.name, text))


if __name__ == "__main__":
    main()
