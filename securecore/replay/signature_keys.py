"""Register, find and revoke the public keys that sign requests. Keys of client certificates need no registration."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import transaction

from securecore import audit, events
from securecore.arguments import require_instant, require_name, require_text, require_user
from securecore.conf import settings
from securecore.errors import Misuse, SignatureKeyUnknown
from securecore.replay.models import SignatureKey
from securecore.texts import quoted
from securecore_client.wire.message_signatures import PublicKey, SignatureError, load_public_key

#: The condition that the request's key is not revoked, for the permission query of ``grants``. Unlike ``find`` it does
#: not check the user.
IS_LIVE = "EXISTS (SELECT 1 FROM securecore_signature_key WHERE keyid = %(signature_keyid)s AND revoked_at IS NULL)"


def register(*, keyid: str, user: Any, public_key: str, now: dt.datetime) -> SignatureKey:
    """Let the holder of ``public_key`` (PEM) sign for ``user`` under the name ``keyid``.

    Raises ``Misuse`` for a weak key, and for a key of an algorithm outside RFC 9421 section 3.3. Raises it too for a
    ``keyid`` that is taken, also by a revoked key: signatures under the revoked key must stay refused.
    """
    require_user(user)
    require_name(keyid=keyid)
    require_text(public_key=public_key)
    require_instant(now=now)
    pem = checked(public_key)
    rows = SignatureKey.objects.using(settings.DATABASE)
    with transaction.atomic(using=settings.DATABASE):
        row, is_new = rows.get_or_create(keyid=keyid, defaults={"user": user, "public_key": pem, "registered_at": now})
        if not is_new:
            raise Misuse(f"A key named {quoted(keyid)} is registered already. Choose another keyid.")
        audit.report(events.SignatureKeyRegistered(keyid=keyid, user=user.get_username()))
    return row


def checked(public_key: str) -> str:
    """Return the canonical PEM of a public key. Raises ``Misuse`` if the key cannot verify signatures."""
    try:
        key = load_public_key(public_key.encode())
    except SignatureError as error:
        raise Misuse(f"This is no public key for signatures, in PEM: {error}") from error
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def find(keyid: str) -> SignatureKey:
    """Return the key registered as ``keyid``.

    Raises ``SignatureKeyUnknown`` for an unknown or revoked key, and for a key of an inactive user.
    """
    row = SignatureKey.objects.using(settings.DATABASE).usable().filter(keyid=keyid).first()
    if row is None:
        raise SignatureKeyUnknown
    return row


def revoke(*, keyid: str, now: dt.datetime) -> bool:
    """Refuse every signature of this key from now on; return False if the key was unknown or revoked already.

    Run it in a transaction if other changes belong to the revocation.
    """
    require_name(keyid=keyid)
    return bool(SignatureKey.objects.using(settings.DATABASE).filter(keyid=keyid).revoke(now=now))


def loaded(public_key: bytes) -> PublicKey:
    """Return the key in a SubjectPublicKeyInfo, PEM or DER. Raises ``SignatureKeyUnknown`` for an unsuitable key."""
    try:
        return load_public_key(public_key)
    except SignatureError as error:
        raise SignatureKeyUnknown from error
