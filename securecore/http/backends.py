"""A Django authentication backend: users by certificate, and ``has_perm()`` by grants."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from securecore import clock
from securecore.conf import settings
from securecore.grants.principals import target_of
from securecore.grants.query import effective
from securecore.http.authorization.caller import certificate_user_now


class CertificateBackend(ModelBackend):
    """Authenticate the certificate's user, and decide ``has_perm()`` by grants.

    For the user of a request, ``has_perm()`` uses the grants that the one query read: the grants of the user, of the
    client certificate, and of the registered client whose access token a REST framework class accepted. For another
    user object the first ``has_perm()`` reads the user's grants and keeps them with the object. A denial wins over all
    other backends. Use ``has_perm()`` to decide which buttons or links to show. Before an effect use ``authorize()``,
    whose decision holds until the effect has committed.
    """

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        # A call with a user name or a password is for another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user_now(request) if hasattr(request, "access") else None

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
        if allowing or settings.DJANGO_PERMISSIONS:  # with this setting, Django's own permissions are in granted too
            return bool(allowing) and user_obj.is_active
        return super().has_perm(user_obj, perm, obj)
