"""Django's authentication by certificate, and its permissions by grant."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from securecore.http.callers import certificate_user


class CertificateBackend(ModelBackend):
    """``authenticate(request)`` returns the user for whom the request's certificate is enrolled.

    ``has_perm()`` of a request's user also says yes to what was granted to that user when the request was read. It is
    for what to show: whoever is about to act asks ``authorize()``, whose answer holds until the effect has committed.
    """

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        # With a name or a password somebody asks another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user(request) if hasattr(request, "access") else None

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        granted = getattr(user_obj, "securecore_permissions", ())
        if obj is None and user_obj.is_active and perm in granted:
            return True
        return super().has_perm(user_obj, perm, obj)
