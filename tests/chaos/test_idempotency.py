"""A small chaos, and the same without protection. ``make chaos`` is the large one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tools.chaos.checker import Verdict, check
from tools.chaos.idempotency import run
from tools.chaos.place import Place, place

# The service's own database, of the same vendor as that of the run.
pytestmark = pytest.mark.database

KEYS = int(os.environ.get("CHAOS_KEYS", "160"))


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place(database=connection.vendor) as running:
        yield running


def verdict(here: Place, folder: Path, url: str, keys: int) -> Verdict:
    run(here, folder / "history", keys=keys, urls=[url], worker_every=0.3, database_every=0.25)
    found = check(folder / "history", here.database_url)
    print(found)
    return found


def test_one_effect_a_key_whatever_is_killed(here: Place, tmp_path: Path) -> None:
    found = verdict(here, tmp_path, "/once", KEYS)
    assert found.good, found
    assert found.events["worker-killed"] >= 1
    if here.postgres:
        assert found.events["database-killed"] >= 1
    # The same keys again without protection: the checker must report it.
    found = verdict(here, tmp_path, "/bare", 10)
    assert len(found.problems["doubled"]) > 5
