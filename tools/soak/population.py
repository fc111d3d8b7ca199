"""Users for a soak, and certificates without end: python -m tools.soak.population KEYS.json

The users are enrolled by their public keys, so each certificate with one of the keys is known, and none has a row
before its first session or token.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securecore.installation.certificates import Credential

#: Certificates of one user: below ``SESSION_LIMIT``, so that no login ends the session of another certificate.
CERTIFICATES_PER_USER = 25
BALANCE = 10**9
#: Threads that enrol: on a busy machine each statement waits for its turn.
THREADS = 16


def user_name(number: int) -> str:
    return f"visitor-{number}"


def write_keys(path: Path, users: int) -> None:
    """Write a private key for each of the ``users``."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(users)]
    pems = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for key in keys]
    path.write_text(json.dumps(pems))


class Mint:
    """Issues certificates for the keys of a file, under the demo's authority."""

    def __init__(self, keys: Path, authority: Credential) -> None:
        self._pems: list[str] = json.loads(keys.read_text())
        self._keys = [load_pem_private_key(pem.encode(), None) for pem in self._pems]
        self._authority = authority

    def write(self, path: Path, number: int) -> str:
        """Write the certificate ``number`` with its key to ``path``; return the name of its user."""
        user = number % len(self._keys)
        now = dt.datetime.now(dt.UTC)
        key = self._keys[user]
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{user_name(user)} {number}")]))
            .issuer_name(self._authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._authority.key, hashes.SHA256())
        )
        path.write_text(certificate.public_bytes(Encoding.PEM).decode() + self._pems[user])
        return user_name(user)


def main(keys: str) -> None:
    """Create the users of the file ``keys`` with accounts, enrolments and grants."""
    import django

    django.setup()
    from cryptography.hazmat.primitives.serialization import PublicFormat
    from django.contrib.auth.models import User

    from demo_project.payments.models import Account
    from securecore import clock
    from securecore.grants import grant, principal_of
    from securecore.identity import enroll_match
    from securecore.identity.matching import Match
    from securecore_client.wire.thumbprints import thumbprint

    pems = json.loads(Path(keys).read_text())
    users = User.objects.bulk_create([User(username=user_name(number), password="!") for number in range(len(pems))])
    Account.objects.bulk_create([Account(owner=user, balance=BALANCE) for user in users])
    now = clock.now()

    def enrol(user: User, pem: str) -> None:
        public = load_pem_private_key(pem.encode(), None).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        enroll_match(match=Match("public-key", "", thumbprint(der)), user=user, now=now)
        grant(principal=principal_of(user), permission="transfers.create", now=now)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(enrol, users, pems))


if __name__ == "__main__":
    main(sys.argv[1])
