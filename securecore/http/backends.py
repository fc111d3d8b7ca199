"""Django's authentication by certificate, and its permissions by grant."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from securecore import clock
from securecore.conf import settings
from securecore.grants.principals import target_of
from securecore.grants.query import effective
from securecore.http.authorization.callers import certificate_user


class CertificateBackend(ModelBackend):
    """``authenticate(request)`` returns the user for whom the request's certificate is enrolled.

    ``has_perm()`` of a request's user answers by the grants that were read with the request: of the user, of the
    certificate on the wire, and of the registered client whose access token a REST framework class has accepted. For
    any other user object the grants of the user are read when first asked for, and kept with the object. A denial wins
    over every other backend. ``has_perm()`` is for what to show: before an effect ask ``authorize()``, whose answer
    holds until the effect has committed.
    """

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        # With a name or a password somebody asks another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user(request) if hasattr(request, "access") else None

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if user_obj.pk is None:
            return super().has_perm(user_obj, perm, obj)
        if not hasattr(user_obj, "securecore_granted"):
            user_obj.securecore_granted = effective.held_now(
                user=user_obj.pk, names=getattr(user_obj, "securecore_names", ()), now=clock.now()
            )
        granted = effective.read_held(user_obj.securecore_granted)
        denied, allowing = effective.deciding(granted, perm, target_of(obj))
        if denied:
            raise PermissionDenied
        if allowing or settings.DJANGO_PERMISSIONS:  # then Django's own are among what was read
            return bool(allowing) and user_obj.is_active
        return super().has_perm(user_obj, perm, obj)
