"""Django's authentication by certificate, and its permissions by grant."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from securecore.conf import settings
from securecore.grants import effective
from securecore.grants.principals import target_of
from securecore.http.callers import certificate_user


class CertificateBackend(ModelBackend):
    """``authenticate(request)`` returns the user for whom the request's certificate is enrolled.

    ``has_perm()`` of a request's user answers by what was granted when the request was read, and a denial wins over
    every other backend. It is for what to show: whoever is about to act asks ``authorize()``, whose answer holds until
    the effect has committed.
    """

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        # With a name or a password somebody asks another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user(request) if hasattr(request, "access") else None

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if not hasattr(user_obj, "securecore_granted"):
            return super().has_perm(user_obj, perm, obj)
        granted = effective.read_held(user_obj.securecore_granted)
        denied, allowing = effective.deciding(granted, perm, target_of(obj))
        if denied:
            raise PermissionDenied
        if allowing or settings.DJANGO_PERMISSIONS:  # then Django's own are among what was read
            return bool(allowing) and user_obj.is_active
        return super().has_perm(user_obj, perm, obj)
