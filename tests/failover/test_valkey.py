"""Redis forgets nonces at a failover. ``make failover`` also runs the mode that waits for the replicas."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.tree import ROOT


def outcome(mode: str) -> Any:
    command = [sys.executable, "-m", "tools.failover.valkey", "--json", "--mode", mode]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_sentinel_promotes_a_replica_without_the_last_nonces() -> None:
    """The manual's reason to keep nonces in the database: this must not become better without a word."""
    seen = outcome("plain")
    assert seen["accepted"] == seen["replayed"] == 30
    assert seen["refused"] == 0


def test_a_cluster_is_no_replay_cache_and_opens_nothing() -> None:
    seen = outcome("cluster")
    assert seen["refused"] > 0 < seen["accepted"]
    assert seen["replayed"] == 0
