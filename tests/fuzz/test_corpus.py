"""The seeds of fuzz_sources.py, without atheris: each reads as the certificate of which it was built, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from securecore.http.edge.sources import SOURCES
from tests.fuzz.headers import READ_BY, read

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_every_source_has_a_seed() -> None:
    assert {path.name.partition(".")[0] for path in CORPUS} >= set(READ_BY)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_seed(path: Path) -> None:
    data = path.read_bytes()
    source = READ_BY[data[0] % len(READ_BY)]
    lines = data[1:].decode("latin-1").split("\n")
    certificate = read(source, dict(zip(SOURCES[source].reads, lines, strict=False)))
    if path.suffix == ".whole":
        assert path.name.startswith(source)
        assert certificate is not None
        assert certificate.subject == "CN=seed"
    else:
        assert certificate is None
