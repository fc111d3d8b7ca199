"""A store of idempotency keys with the three usual mistakes, and one without them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.scanner.conftest import scanned
from tests.scanner.known.notes import Notes, Rejected
from tests.scanner.service import Answer, serving


class OneKeyForAll(Notes):
    """Stores a response under the key alone, after the effect: any body and any user gets it."""

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        user, key = self.caller(headers, query), headers.get("idempotency-key")
        if key is None:
            raise Rejected(400, "Idempotency-Key is needed")
        known = self.replays.get(("anybody", key))
        if known is not None:
            return known[1]
        threading.Event().wait(0.05)  # the effect takes its time
        answer = self.create(user, sent)
        self.replays["anybody", key] = (b"", answer)
        return answer


@pytest.mark.parametrize(("service", "verdict"), [(OneKeyForAll, "FAIL"), (Notes, "PASS")], ids=["naive", "sound"])
def test_idempotency_store(service: type[Notes], verdict: str) -> None:
    with serving(service(weak=False).answer) as notes:
        found = scanned(notes.url, "--only", "SC-IDEM")
    assert found.verdicts == dict.fromkeys(("SC-IDEM-1", "SC-IDEM-2", "SC-IDEM-3"), verdict), found.text
