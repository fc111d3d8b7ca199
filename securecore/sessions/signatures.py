"""Verify the signature of a session's contents once in each process, not at each request."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.core import signing

from securecore.caches import BoundedCache
from securecore.conf import django_settings

#: Characters of the signed text, and bytes of the decompressed payload. Longer contents are verified at each request.
_LONGEST = 1_024

#: The payload for each signed text, salt and list of keys. A cache hit does not show that the session is live: each
#: request reads the session's row for that.
_payloads: BoundedCache[bytes] = BoundedCache()


class SignedSession(SessionBase):
    """Django's session base class with a cache of good signatures."""

    def decode(self, session_data: Any) -> dict[str, Any]:
        try:
            data: dict[str, Any] = self.serializer().loads(signed_payload(session_data, self.key_salt))
        except Exception:  # Django's method logs the fault and returns empty contents
            data = super().decode(session_data)
        return data


class _AsSigned:
    """A serializer that returns the payload unchanged."""

    def loads(self, payload: bytes) -> bytes:
        return payload


def signed_payload(signed: str, salt: str) -> bytes:
    """Return the bytes that ``signing.loads`` passes to its serializer. Raises ``BadSignature`` and decoding errors."""
    keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    payload = _payloads.get((signed, salt, keys))
    if payload is None:
        payload = signing.loads(signed, salt=salt, serializer=_AsSigned)  # type: ignore[arg-type]
        if max(len(signed), len(payload)) <= _LONGEST:
            _payloads.put((signed, salt, keys), payload)
    return payload
