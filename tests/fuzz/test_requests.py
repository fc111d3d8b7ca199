"""Whole requests against the demo, in processes of their own: its settings are not those of the suite.

FUZZ_REQUESTS says how many; `make soak` asks for 100,000. FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

from tests.support.tree import ROOT

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "400"))
SEED = int(os.environ.get("FUZZ_SEED", "20261128"))
#: A long run uses both cores of a small machine.
PROCESSES = 2 if REQUESTS > 5_000 else 1


def test_no_request_is_a_5xx_or_somebody_else() -> None:
    share = str(-(-REQUESTS // PROCESSES))
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.run_requests"]
    children = [
        subprocess.Popen(
            [*command, str(SEED + number), share],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for number in range(PROCESSES)
    ]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * PROCESSES, "\n".join(outputs)
    tally: Counter[str] = Counter()
    for output in outputs:
        tally.update(json.loads(output.splitlines()[-1])["tally"])
    # If every request is refused, the fuzzer finds nothing.
    assert tally["effects"] >= REQUESTS // 100
    assert sum(number for answer, number in tally.items() if answer.startswith("GET /api/whoami 2")) >= REQUESTS // 400
    assert min(tally[status] for status in ("400", "401", "403", "409")) >= REQUESTS // 100
