"""Coverage-guided fuzzing of the readers, without a time limit (pip install -e '.[test,fuzz]'):

    python -m tests.fuzz.fuzz_sources -max_total_time=600 var/corpus tests/fuzz/corpus

The first byte chooses the source. The rest is the content of its headers, one a line. New inputs go to the first
folder;
fuzzing starts from tests/fuzz/corpus.
"""

from __future__ import annotations

import os
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["securecore", "http_sf"]):
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from securecore.http.edge.sources import SOURCES
    from tests.fuzz.headers import READ_BY, read


def one_input(data: bytes) -> None:
    if not data:
        return
    source = READ_BY[data[0] % len(READ_BY)]
    lines = data[1:].decode("latin-1").split("\n")
    read(source, dict(zip(SOURCES[source].reads, lines, strict=False)))


def main() -> None:
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
