"""Coverage-guided fuzzing of whole requests, for as long as you like (pip install -e '.[demo,test,fuzz]'):

    python -m tests.fuzz.fuzz_requests -max_total_time=600 -len_control=0 var/corpus-requests

The bytes are the choices of tests/fuzz/requests.py. New inputs go to the folder; random ones are where it begins.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

import atheris


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="securecore-fuzz-") as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.fuzz.demo_settings", "DEMO_VAR": folder, "DATABASE_URL": ""}
        with atheris.instrument_imports(include=["securecore", "http_sf"]):
            import django

            django.setup()
            from tests.fuzz.oracle import Fuzzer
            from tests.fuzz.run_requests import SIZE
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        for number in range(100):
            (seeds / str(number)).write_bytes(os.urandom(SIZE))
        atheris.Setup([*sys.argv, f"-max_len={SIZE}", str(seeds)], Fuzzer().request)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
