"""A scan restores the permission that it revoked, also if it stops early."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scanner.conftest import scanned
from tests.scanner.service import Answer, serving

PLAN = """
[[effect]]
name = "payment"
request = { path = "/pay", json = { memo = "{canary}" } }
[authorization]
effect = "payment"
revoke = { path = "/revoke" }
restore = { path = "/restore" }
"""


@pytest.mark.parametrize(("status", "code"), [(500, 3), (201, 1)], ids=["stopped", "to the end"])
def test_revoked_permission_is_restored(tmp_path: Path, status: int, code: int) -> None:
    may = {"pay": True}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method != "POST":
            return 404, {}, {}
        if path in ("/revoke", "/restore"):
            may["pay"] = path == "/restore"
            return 200, {}, {}
        # Without the permission: 500 makes the scan stop, 201 is a race for it to find.
        return (201 if may["pay"] else status), {}, {}

    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    with serving(answer) as service:
        run = scanned(service.url, "--plan", plan, "--only", "SC-RACE")
        asked = service.paths()
    assert asked.count("/restore") == asked.count("/revoke") == 1
    assert may["pay"]
    assert run.code == code, run.text
    assert bool(run.content["stopped"]) == (code == 3)
