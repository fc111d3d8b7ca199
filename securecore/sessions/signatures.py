"""That the contents of a session are signed by us, verified once for each process and not for each request."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.core import signing

from securecore.caches import BoundedCache
from securecore.conf import django_settings, settings

#: Characters and bytes. What is longer, or was before it was compressed, is verified each time and never kept.
_LONGEST = 1_024

#: What was signed, by the signed text and all that its signature depends on. It says nothing of whether the session
#: lives: that is a row of the database.
_payloads: BoundedCache[bytes] = BoundedCache(
    size=lambda: settings.CALLER_CACHE_SIZE, seconds=lambda: settings.CACHE_SECONDS
)


class SignedSession(SessionBase):
    """Django's, with a memory for signatures that were good."""

    def decode(self, session_data: Any) -> dict[str, Any]:
        try:
            data: dict[str, Any] = self.serializer().loads(signed_payload(session_data, self.key_salt))
        except Exception:  # Django's own logs what is wrong, and says what that means
            data = super().decode(session_data)
        return data


class _AsSigned:
    """The serializer that leaves things as they are."""

    def loads(self, payload: bytes) -> bytes:
        return payload


def signed_payload(signed: str, salt: str) -> bytes:
    """Return what ``signing.loads`` would give its serializer. Raises ``BadSignature``, and whatever it raises."""
    keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    payload = _payloads.get((signed, salt, keys))
    if payload is None:
        payload = signing.loads(signed, salt=salt, serializer=_AsSigned)  # type: ignore[arg-type]
        if max(len(signed), len(payload)) <= _LONGEST:
            _payloads.put((signed, salt, keys), payload)
    return payload
