"""The certificates of the ``cryptography-vectors`` package in every header, and many broken ones: a value or a refusal.

FUZZ_MUTATIONS is the number of broken ones; `make soak` runs 100,000.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securecore_client.wire.thumbprints import thumbprint
from tests.fuzz.headers import READ_BY, encoded, mutated_headers, read

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "4000"))
SEED = 20261122


# In production a warning stays a warning. Here it would become an exception, which the parser takes for a refusal.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


@pytest.fixture
def published() -> list[bytes]:
    """Return every file of the package below x509/, converted to DER where possible, else unchanged."""
    folder = Path(cryptography_vectors.__file__).parent / "x509"
    return [der for path in sorted(folder.rglob("*")) if path.is_file() for der in ders(path)]


def ders(path: Path) -> list[bytes]:
    content = path.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in content:
        return [content]
    try:
        return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(content)]
    except (ValueError, x509.InvalidVersion):
        return [content]


@pytest.mark.parametrize("source", READ_BY)
def test_published_certificates(published: list[bytes], source: str) -> None:
    assert len(published) > 200
    values = 0
    for der in published:
        certificate = read(source, encoded(source, der))
        if certificate is not None:
            assert certificate.thumbprint == thumbprint(der)
            values += 1
    # Traefik's header is read as a chain, and most of these certificates did not issue themselves.
    assert values > (10 if source == "traefik" else 60)


def test_mutations(published: list[bytes]) -> None:
    chance = random.Random(SEED)
    small = [der for der in published if 100 < len(der) < 4_000]
    values = refusals = 0
    slowest = 0.0
    for _ in range(MUTATIONS):
        source, der = chance.choice(READ_BY), chance.choice(small)
        headers = mutated_headers(source, der, chance)
        started = time.process_time()
        certificate = read(source, headers)
        slowest = max(slowest, time.process_time() - started)
        values, refusals = (values + 1, refusals) if certificate else (values, refusals + 1)
    assert values > MUTATIONS // 100
    assert refusals > MUTATIONS // 4
    assert slowest < 1  # no input may take a disproportionate time
