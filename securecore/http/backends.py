"""Django's authentication by certificate."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from securecore.http.callers import certificate_user


class CertificateBackend(ModelBackend):
    """``authenticate(request)`` returns the user for whom the request's certificate is enrolled."""

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        # With a name or a password somebody asks another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user(request) if hasattr(request, "access") else None
