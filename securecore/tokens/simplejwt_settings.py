"""The settings of djangorestframework-simplejwt (``SIMPLE_JWT``) by which it refuses access tokens.

The dictionary is read from Django's settings; simplejwt itself need not be installed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.module_loading import import_string

from securecore.conf import django_settings

_ACCESS_TOKEN = "rest_framework_simplejwt.tokens.AccessToken"  # noqa: S105
_DEFAULT_RULE = "rest_framework_simplejwt.authentication.default_user_authentication_rule"


@dataclass(frozen=True)
class SimpleJWT:
    """The settings with the defaults of simplejwt 5.5, but for ``SIGNING_KEY``, which has no default here.

    There it is ``SECRET_KEY`` of the service that issues the tokens, which may be another service than this one.
    """

    ALGORITHM: str = "HS256"
    SIGNING_KEY: Any = ""
    VERIFYING_KEY: Any = ""
    JWK_URL: Any = None
    AUDIENCE: Any = None
    ISSUER: Any = None
    LEEWAY: Any = 0
    ACCESS_TOKEN_LIFETIME: dt.timedelta = dt.timedelta(minutes=5)
    AUTH_HEADER_TYPES: Any = ("Bearer",)
    AUTH_HEADER_NAME: str = "HTTP_AUTHORIZATION"
    AUTH_TOKEN_CLASSES: Any = (_ACCESS_TOKEN,)
    TOKEN_TYPE_CLAIM: str | None = "token_type"  # noqa: S105
    JTI_CLAIM: str = "jti"
    USER_ID_FIELD: str = "id"
    USER_ID_CLAIM: str = "user_id"
    USER_AUTHENTICATION_RULE: Any = _DEFAULT_RULE
    CHECK_REVOKE_TOKEN: bool = False
    REVOKE_TOKEN_CLAIM: str = "hash_password"  # noqa: S105

    @property
    def key(self) -> Any:
        """The key that verifies: the shared secret of HS256, HS384 and HS512, else the public key."""
        return self.SIGNING_KEY if self.ALGORITHM.startswith("HS") else self.VERIFYING_KEY

    @property
    def type_claim(self) -> str:
        # For None simplejwt writes a claim with the name None, which JSON spells "null", and never checks the type.
        # securecore checks the type, because a refresh token is no access token.
        return "null" if self.TOKEN_TYPE_CLAIM is None else self.TOKEN_TYPE_CLAIM

    @property
    def leeway(self) -> float:
        leeway = self.LEEWAY or 0
        return leeway.total_seconds() if isinstance(leeway, dt.timedelta) else float(leeway)

    def names_the_primary_key(self) -> bool:
        """Say whether the user claim holds the user's primary key."""
        primary_key = get_user_model()._meta.pk
        return self.USER_ID_FIELD in ("pk", primary_key.name)

    def authentication_rule(self) -> Callable[[Any], bool] | None:
        """Return the project's own ``USER_AUTHENTICATION_RULE``; None for the default, which demands an active user."""
        rule = self.USER_AUTHENTICATION_RULE
        if rule == _DEFAULT_RULE:
            return None
        function: Callable[[Any], bool] = import_string(rule) if isinstance(rule, str) else rule
        return function

    def problems(self) -> list[str]:
        """Return a sentence for each setting that securecore cannot follow; then it accepts no token of simplejwt."""
        sentences = []
        if not self.key:
            name = "SIGNING_KEY" if self.ALGORITHM.startswith("HS") else "VERIFYING_KEY"
            sentences.append(f"SIMPLE_JWT[{name!r}] is missing.")
        if self.JWK_URL and not self.ALGORITHM.startswith("HS"):
            sentences.append("SIMPLE_JWT['JWK_URL'] takes keys from a URL, and securecore verifies with one fixed key.")
        if self.AUTH_HEADER_NAME != "HTTP_AUTHORIZATION" or "Bearer" not in _listed(self.AUTH_HEADER_TYPES):
            sentences.append("SIMPLE_JWT takes tokens from another header than 'Authorization: Bearer'.")
        if not any(_path(token_class) == _ACCESS_TOKEN for token_class in _listed(self.AUTH_TOKEN_CLASSES)):
            sentences.append(
                f"SIMPLE_JWT['AUTH_TOKEN_CLASSES'] lacks {_ACCESS_TOKEN}, the only class that securecore accepts."
            )
        if not self.JTI_CLAIM:
            sentences.append("SIMPLE_JWT['JTI_CLAIM'] is empty: a token without jti cannot be revoked.")
        return sentences


def current() -> SimpleJWT:
    """Return the project's present settings, with simplejwt's default for each missing one."""
    given = getattr(django_settings, "SIMPLE_JWT", None) or {}
    return SimpleJWT(**{field.name: given[field.name] for field in fields(SimpleJWT) if field.name in given})


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _path(token_class: Any) -> str:
    if isinstance(token_class, str):
        return token_class
    return f"{getattr(token_class, '__module__', '')}.{getattr(token_class, '__qualname__', '')}"
