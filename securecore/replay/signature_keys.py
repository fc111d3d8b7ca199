"""Public keys that were registered to sign requests, beside those of client certificates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securecore.conf import settings
from securecore.errors import Misuse, SignatureKeyUnknown
from securecore.message_signatures import PublicKey, SignatureError, load_public_key
from securecore.replay.models import SignatureKey

#: That a request's key is still good, for ``grants``: as ``find`` has it, but for the user.
STANDS = "EXISTS (SELECT 1 FROM securecore_signature_key WHERE keyid = %(signature_keyid)s AND revoked_at IS NULL)"


def register(*, keyid: str, user: Any, public_key: str, now: dt.datetime) -> SignatureKey:
    """Let the holder of ``public_key`` (PEM) sign for ``user`` under the name ``keyid``.

    Raises ``Misuse`` for a key that is none of RFC 9421 section 3.3 or too weak, and for a ``keyid`` that is taken: a
    revoked one too, since what it signed once must stay refused.
    """
    pem = checked(public_key)
    rows = SignatureKey.objects.using(settings.DATABASE)
    row, is_new = rows.get_or_create(keyid=keyid, defaults={"user": user, "public_key": pem, "registered_at": now})
    if not is_new:
        raise Misuse(f"A key named {keyid!r} is registered already. Choose another keyid.")
    return row


def checked(public_key: str) -> str:
    """Return the PEM of a public key in its one spelling. Raises ``Misuse`` if it is no key for signatures."""
    try:
        key = load_public_key(public_key.encode())
    except SignatureError as error:
        raise Misuse(f"This is no public key for signatures, in PEM: {error}") from error
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def find(keyid: str) -> SignatureKey:
    """Return the key of an active user that is registered as ``keyid``. Raises ``SignatureKeyUnknown``, also for a
    revoked one.
    """
    row = SignatureKey.objects.using(settings.DATABASE).usable().filter(keyid=keyid).first()
    if row is None:
        raise SignatureKeyUnknown
    return row


def revoke(*, keyid: str, now: dt.datetime) -> bool:
    """Refuse what this key signs from now on; say whether it was news. Needs a transaction if more must happen."""
    return bool(SignatureKey.objects.using(settings.DATABASE).filter(keyid=keyid).revoke(now=now))


def loaded(public_key: bytes) -> PublicKey:
    """Return the key in a SubjectPublicKeyInfo, PEM or DER. Raises ``SignatureKeyUnknown`` for one that cannot sign."""
    try:
        return load_public_key(public_key)
    except SignatureError as error:
        raise SignatureKeyUnknown from error
