"""Run rounds of failover and the checker; see the package. Exit code 0 means a good verdict, 3 a bad one."""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo_project.stack import Stack
from tests.support.postgres import CannotStart
from tests.support.tree import ROOT
from tools.chaos.history import History
from tools.failover.cluster import Cluster, cluster
from tools.failover.failures import EVERY, KILLED, Failure, cut_replication
from tools.failover.load import load

#: Seconds of load before a failure and after a promotion.
BEFORE, AFTER = 3.0, 4.0
#: Seconds in which asynchronous standbys get no commit before the primary dies.
LAG = 2.0
#: Seconds after a promotion in which the fence refuses every nonce and proof.
FENCED = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.failover")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--asynchronous", action="store_true", help="standbys that lag behind the primary that dies")
    parser.add_argument("--fence", action="store_true", help="with manage.py securecore_fence install")
    parser.add_argument("--impatient", action="store_true", help="end the lock of a dead primary now, not after 20 s")
    parser.add_argument("--history", type=Path, help="the file for the events, one JSON object a line")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="securecore-failover-") as name:
        folder = Path(name)
        history = chosen.history or folder / "history.jsonl"
        try:
            with cluster(synchronous=not chosen.asynchronous) as running, _service(running, folder) as service:
                if chosen.fence:
                    _manage(running, folder, "securecore_fence", "install")
                with History(history) as written, load(service.url, service.pki, written) as replay:
                    written.write("started", mode=_mode(chosen))
                    for failure in itertools.islice(itertools.cycle(EVERY), chosen.rounds):
                        _round(running, written, KILLED if chosen.asynchronous else failure, replay, chosen)
                command = [sys.executable, "-m", "tools.failover.checker", str(history), running.url]
                return subprocess.run(command, cwd=ROOT, check=False).returncode
        except CannotStart as problem:
            print(f"tools.failover: {problem}", file=sys.stderr)
            return 1


def _service(running: Cluster, folder: Path) -> Stack:
    return Stack(port=20_000 + secrets.randbelow(12_768), var=folder, database_url=running.url)


def _manage(running: Cluster, folder: Path, *arguments: str) -> None:
    environ = os.environ | {"DATABASE_URL": running.url, "DEMO_VAR": str(folder)}
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environ, check=True)


def _mode(chosen: argparse.Namespace) -> str:
    return "fenced" if chosen.fence else "asynchronous" if chosen.asynchronous else "synchronous"


def _round(
    running: Cluster, history: History, failure: Failure, replay: Callable[[], None], chosen: argparse.Namespace
) -> None:
    """End the primary under load, and bring it back as a standby."""
    time.sleep(BEFORE)
    old = running.primary()
    assert old is not None
    if chosen.asynchronous:
        cut_replication(running, old)
        time.sleep(LAG)
    history.write("failure", kind=failure.name, member=old)
    failure.begin(running, old)
    if chosen.impatient:
        running.end_lock()
    running.wait("a promotion", lambda: running.primary() not in (None, old))
    history.write("promoted", member=running.primary())
    time.sleep(AFTER + FENCED * chosen.fence)
    replay()
    failure.end(running, old)
    running.wait("all members", running.is_whole)
    history.write("whole")
    print(f"{failure.name}: {old} -> {running.primary()}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up on the way
    sys.exit(main())
