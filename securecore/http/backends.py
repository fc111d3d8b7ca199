"""A Django authentication backend: users by certificate, and ``has_perm()`` by grants."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from securecore import clock
from securecore.conf import settings
from securecore.grants.principals import target_of
from securecore.grants.query import effective
from securecore.http.authorization.caller import certificate_user_now
from securecore.http.request import AnyUser, User, django_request


class CertificateBackend(ModelBackend):
    """Authenticate the certificate's user, and decide ``has_perm()`` by grants.

    For the user of a request, ``has_perm()`` uses the grants that the one query read: the grants of the user, of the
    client certificate, and of the registered client of the token that a REST framework class accepted. For another
    user object the first ``has_perm()`` reads the user's grants and keeps them with the object. A denial wins over all
    other backends. Use ``has_perm()`` to decide which buttons or links to show. Before an effect use ``authorize()``:
    its decision holds until the effect has committed.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        # A call with a user name or a password is for another backend.
        if request is None or username is not None or password is not None or kwargs:
            return None
        return certificate_user_now(django_request(request))

    def has_perm(self, user_obj: AnyUser, perm: str, obj: Model | None = None) -> bool:
        if user_obj.pk is None:
            return super().has_perm(user_obj, perm, obj)
        granted = effective.read_granted(_granted_of(user_obj))
        denied, allowing = effective.deciding(granted, perm, target_of(obj))
        if denied:
            raise PermissionDenied
        if allowing or settings.DJANGO_PERMISSIONS:  # with this setting, Django's own permissions are in granted too
            return bool(allowing) and user_obj.is_active
        return super().has_perm(user_obj, perm, obj)


def _granted_of(user: Any) -> effective.Granted:
    """Return the grants that the one query has read with the user, or read them and keep them with the object."""
    if not hasattr(user, "securecore_granted"):
        names = getattr(user, "securecore_names", ())
        user.securecore_granted = effective.granted_now(user=user.pk, names=names, now=clock.now())
    granted: effective.Granted = user.securecore_granted
    return granted
