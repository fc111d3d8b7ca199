"""The demo's certificates: those of ``securecore.installation.certificates``, for good and for bad clients.

ca.pem, ca.key, crl.pem            the authority, and its revocation list
server.pem, server.key             for localhost, 127.0.0.1 and ::1
NAME.pem, NAME.key, NAME.p12       for each of alice bob carol service revoked expired stranger
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509

from securecore.installation import certificates

CLIENTS = ("alice", "bob", "carol", "service", "revoked")

#: A certificate that ends sooner than this is made anew, so a demo can run for a month.
RENEWAL = dt.timedelta(days=30)


def prepare(folder: Path, *, now: dt.datetime) -> None:
    """Create each file in ``folder`` that is missing, broken, of an earlier authority, or within ``RENEWAL`` of its
    end.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_current(folder, "ca", until=now + RENEWAL):
        certificates.write_pair(folder, "ca", certificates.new_authority("securecore demo CA", now=now))
    authority = certificates.load_authority(folder)
    if not _is_current(folder, "server", until=now + RENEWAL, authority=authority):
        certificates.issue_server(folder, authority, now=now)
    for name in CLIENTS:
        if not _is_current(folder, name, until=now + RENEWAL, authority=authority):
            certificates.issue(folder, name, now=now)
    if not _is_current(folder, "expired", until=now - certificates.LIFETIME, authority=authority):
        certificates.issue(folder, "expired", now=now - dt.timedelta(days=2), lifetime=dt.timedelta(days=1))
    if not _is_current(folder, "stranger", until=now + RENEWAL):
        certificates.issue(
            folder, "stranger", now=now, authority=certificates.new_authority("someone else's CA", now=now)
        )
    _refresh_crl(folder, authority, now=now)


def _refresh_crl(folder: Path, authority: certificates.Credential, *, now: dt.datetime) -> None:
    crl = certificates.read_crl(folder, authority)
    revoked = x509.load_pem_x509_certificate((folder / "revoked.pem").read_bytes())
    if crl is None or crl.get_revoked_certificate_by_serial_number(revoked.serial_number) is None:
        certificates.revoke(folder, "revoked", now=now)
    elif crl.next_update_utc is None or crl.next_update_utc < now + RENEWAL:
        certificates.write_crl(folder, authority, list(crl), now=now)


def _is_current(
    folder: Path, name: str, *, until: dt.datetime, authority: certificates.Credential | None = None
) -> bool:
    try:
        pair = certificates.read_pair(folder, name)
        if authority is not None:
            pair.certificate.verify_directly_issued_by(authority.certificate)
    except Exception:
        # The file is missing, broken or of another authority: a new certificate replaces it.
        return False
    return (
        pair.certificate.public_key() == pair.key.public_key()
        and pair.certificate.not_valid_after_utc > until
        and (name in ("ca", "server") or (folder / f"{name}.p12").exists())
    )
