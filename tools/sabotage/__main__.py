"""Run the catalogue: python -m tools.sabotage [WORD...] runs the entries with one of the words in their name.

First the named tests must pass on the unchanged tree. Then each sabotage is applied alone to a copy of the tree, and
its test must fail there: by an assertion, not because the code no longer runs.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.support.postgres import Server, server
from tests.support.tree import IGNORED, ROOT
from tools.sabotage.catalogue import CATALOGUE, Sabotage

COPIES = 2  # one for each core of a small machine
TIMEOUT = 120  # seconds for one test; a sabotage by which the test hangs proves nothing

Verdict = tuple[bool, str]


@dataclass(frozen=True)
class Copy:
    """A copy of the tree with its own databases, in which one test runs at a time."""

    root: Path
    postgres: Server | None

    def run(self, tests: Sequence[str], database: str) -> tuple[int, str]:
        """Run ``tests`` in this copy; return pytest's exit code (-1 after a timeout) and its output."""
        path = os.pathsep.join(str(self.root / folder) for folder in ("", "client", "scanner"))
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TEST_DATABASE_URL": ""}
        if database == "postgresql" and self.postgres:
            environ["TEST_DATABASE_URL"] = self.postgres.url.removesuffix("postgres") + self.root.name
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",  # a test may print bytes that are no UTF-8
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=TIMEOUT * len(tests))
            except BaseException as reason:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(reason, subprocess.TimeoutExpired):
                    raise
                return -1, process.communicate()[0]
        return process.returncode, output

    @contextmanager
    def sabotaged(self, sabotage: Sabotage) -> Iterator[None]:
        """Apply ``sabotage`` for the block, and undo the change afterwards."""
        path, text = sabotage.apply(self.root)
        try:
            yield
        finally:
            path.write_text(text)


def judge(code: int, output: str) -> Verdict:
    """Say whether a test failed by an assertion, and describe pytest's result."""
    closing = closing_line(output)
    if code == 0:
        return False, f"STILL GREEN: {closing}"
    if code == -1:
        return False, f"hung for {TIMEOUT} s"
    if code == 1 and re.search(r"\d+ failed", closing) and not re.search(r"\d+ error", closing):
        return True, f"red: {closing}"
    return False, f"broken, not red: {closing}"


def closing_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip("= ") if lines else "no output"


def not_green(copy: Copy, chosen: Sequence[Sabotage]) -> str:
    """Run the named tests on the unchanged tree; return the output of a failing run, or an empty string."""
    for database in sorted({sabotage.database for sabotage in chosen}):
        tests = sorted({sabotage.test for sabotage in chosen if sabotage.database == database})
        code, output = copy.run(tests, database)
        if code or not re.search(r"\d+ passed", closing_line(output)) or "skipped" in closing_line(output):
            return output
    return ""


def sabotage_all(copies: queue.SimpleQueue[Copy], chosen: Sequence[Sabotage]) -> list[Verdict]:
    def attempt(sabotage: Sabotage) -> Verdict:
        started = time.monotonic()
        if reason := sabotage.fault():
            verdict = False, reason
        else:
            copy = copies.get()
            try:
                with copy.sabotaged(sabotage):
                    verdict = judge(*copy.run([sabotage.test], sabotage.database))
            finally:
                copies.put(copy)
        print(f"{'ok  ' if verdict[0] else 'FAIL'}  {time.monotonic() - started:5.1f} s  {sabotage.name}", flush=True)
        return verdict

    with ThreadPoolExecutor(COPIES) as pool:
        return list(pool.map(attempt, chosen))


def table(chosen: Sequence[Sabotage], verdicts: Sequence[Verdict]) -> str:
    rows = [("sabotage", "promise", "outcome")]
    rows += [(sabotage.name, sabotage.promise, text) for sabotage, (_, text) in zip(chosen, verdicts, strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:{widths[0]}}  {promise:{widths[1]}}  {outcome}" for name, promise, outcome in rows)


def main(words: Sequence[str]) -> int:
    """Return 0 if a test failed for every chosen sabotage."""
    chosen = [sabotage for sabotage in CATALOGUE if not words or any(word in sabotage.name for word in words)]
    if not chosen:
        print("no sabotage of that name")
        return 2
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecore-sabotage-")))
        needs_postgres = any(sabotage.database == "postgresql" for sabotage in chosen)
        postgres = stack.enter_context(server()) if needs_postgres else None
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(COPIES):
            root = directory / f"copy{number}"
            shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*IGNORED))
            copies.put(copy := Copy(root, postgres))
        if output := not_green(copy, chosen):
            print(f"{output}\nthese tests must be green before a sabotage can prove anything")
            return 1
        verdicts = sabotage_all(copies, chosen)
    noticed = sum(good for good, _ in verdicts)
    print(f"\n{table(chosen, verdicts)}\n\n{noticed} of {len(chosen)} sabotages were noticed")
    return 0 if noticed == len(chosen) else 1


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _exit_on_signal)
    sys.exit(main(sys.argv[1:]))
