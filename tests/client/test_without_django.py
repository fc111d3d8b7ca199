"""The client works in a Python program without Django."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class NoDjango:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("django", "rest_framework"):
            raise ImportError(name)

sys.meta_path.insert(0, NoDjango())
import securecore.client, securecore.client.httpx, securecore.client.requests
from cryptography.hazmat.primitives.asymmetric import ec
from securecore.client import DPoP, MessageSignature, TimestampNonce
from securecore.client.proofs import Outgoing

key, request = ec.generate_private_key(ec.SECP256R1()), Outgoing("POST", "https://pay.example/", {}, b"{}")
for proof in (TimestampNonce(), DPoP(key, "a.token"), MessageSignature(key, "k")):
    print(*proof.headers(request))
assert not [name for name in sys.modules if name.partition(".")[0] == "django"]
"""


def test_a_process_without_django_makes_every_proof() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == [
        "X-Request-Timestamp X-Request-Nonce",
        "DPoP Authorization",
        "Content-Digest Signature-Input Signature",
    ]
