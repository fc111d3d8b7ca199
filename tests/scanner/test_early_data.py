"""SC-REPLAY-4 sends real early data to a real nginx, and judges no header."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scanner.conftest import scanned
from tests.scanner.edge import certificates, nginx
from tests.scanner.service import Answer, serving

PLAN = """
[[effect]]
name = "payment"
[effect.request]
path = "/payments"
json = { memo = "{canary}" }
[effect.count]
path = "/payments"
containing = "{canary}"
"""


class Payments:
    """Pays as often as it is told. With ``refuses``, it answers early data with 425, as RFC 8470 asks."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.paid: list[str] = []
        self.early = 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "POST":
            self.early += headers.get("early-data") == "1"
            if self.refuses and headers.get("early-data") == "1":
                return 425, {}, {}
            self.paid.append(body.decode())
        return (201 if method == "POST" else 200), {}, {"payments": self.paid}


@pytest.mark.parametrize(
    ("setting", "refuses", "verdict", "arrives"),
    [("on", False, "FAIL", True), ("on", True, "PASS", True), ("off", False, "PASS", False)],
    ids=["accepted", "answered 425", "off"],
)
def test_early_data_is_replayed(tmp_path: Path, setting: str, refuses: bool, verdict: str, arrives: bool) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    payments = Payments(refuses=refuses)
    with serving(payments.answer) as service, nginx(tmp_path, service.url, f"ssl_early_data {setting};") as url:
        run = scanned(url, *certificates(tmp_path), "--plan", tmp_path / "plan.toml", "--only", "SC-REPLAY-4")
    assert run.verdicts == {"SC-REPLAY-4": verdict}, run.text
    assert (payments.early > 0) == arrives, "the upstream sees that nginx received early data"


def test_early_data_header_alone_is_no_finding(tmp_path: Path) -> None:
    """A service that ignores the header, on a port without early data, has no weakness."""
    (tmp_path / "plan.toml").write_text(PLAN)
    payments = Payments(refuses=False)
    with serving(payments.answer) as service:
        run = scanned(service.url, "--plan", tmp_path / "plan.toml", "--only", "SC-REPLAY-4")
    assert run.verdicts == {"SC-REPLAY-4": "NOT APPLICABLE"}
    assert payments.early == 0
