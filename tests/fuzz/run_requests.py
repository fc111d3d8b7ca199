"""Send random requests to the demo in process, and stop at the first that breaks a promise:

python -m tests.fuzz.run_requests SEED REQUESTS
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time

import django

#: Bytes for one request. Choices beyond them are the first of each list.
SIZE = 400


def main(seed: int, requests: int) -> None:
    with tempfile.TemporaryDirectory(prefix="securecore-fuzz-") as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.fuzz.demo_settings", "DEMO_VAR": folder, "DATABASE_URL": ""}
        django.setup()
        from tests.fuzz.oracle import Fuzzer  # needs the apps

        chance, fuzzer, started = random.Random(seed), Fuzzer(), time.monotonic()
        for _ in range(requests):
            data = chance.randbytes(SIZE)
            try:
                fuzzer.request(data)
            except Exception as finding:
                print(f"request {fuzzer.sent_in_all} of seed {seed}: {type(finding).__name__}: {finding}")
                raise
        seconds = time.monotonic() - started
        print(json.dumps({"seconds": round(seconds, 1), "slowest": fuzzer.slowest, "tally": fuzzer.tally}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
