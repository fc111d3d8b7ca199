"""djangorestframework-simplejwt's own settings, ``SIMPLE_JWT``, as far as they make it refuse an access token.

The dictionary is read where the project has it; the package need not be installed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.module_loading import import_string

from securecore.conf import django_settings, settings

_ACCESS_TOKEN = "rest_framework_simplejwt.tokens.AccessToken"  # noqa: S105
_DEFAULT_RULE = "rest_framework_simplejwt.authentication.default_user_authentication_rule"


@dataclass(frozen=True)
class SimpleJWT:
    """The settings with their defaults (5.5). Those of ``SECURECORE`` take the place of the key, the algorithm and the
    user's claim, and must not contradict these.
    """

    ALGORITHM: str | None = None
    SIGNING_KEY: Any = None
    VERIFYING_KEY: Any = None
    JWK_URL: Any = None
    AUDIENCE: Any = None
    ISSUER: Any = None
    LEEWAY: Any = 0
    AUTH_HEADER_TYPES: Any = ("Bearer",)
    AUTH_HEADER_NAME: str = "HTTP_AUTHORIZATION"
    AUTH_TOKEN_CLASSES: Any = (_ACCESS_TOKEN,)
    TOKEN_TYPE_CLAIM: str | None = "token_type"  # noqa: S105
    JTI_CLAIM: str = "jti"
    USER_ID_FIELD: str = "id"
    USER_ID_CLAIM: str | None = None
    USER_AUTHENTICATION_RULE: Any = _DEFAULT_RULE
    CHECK_REVOKE_TOKEN: bool = False
    REVOKE_TOKEN_CLAIM: str = "hash_password"  # noqa: S105

    @property
    def type_claim(self) -> str:
        # For None simplejwt writes a claim of that name, which JSON spells so, and does not look at the type. We do: a
        # refresh token is no access token.
        return "null" if self.TOKEN_TYPE_CLAIM is None else self.TOKEN_TYPE_CLAIM

    @property
    def leeway(self) -> float:
        leeway = self.LEEWAY or 0
        return leeway.total_seconds() if isinstance(leeway, dt.timedelta) else float(leeway)

    def names_the_primary_key(self) -> bool:
        """Say whether the user's claim is a primary key."""
        primary_key = get_user_model()._meta.pk
        return self.USER_ID_FIELD in ("pk", primary_key.name)

    def authentication_rule(self) -> Callable[[Any], bool] | None:
        """Return the project's own ``USER_AUTHENTICATION_RULE``; None for the default, which wants an active user."""
        rule = self.USER_AUTHENTICATION_RULE
        if rule == _DEFAULT_RULE:
            return None
        found: Callable[[Any], bool] = import_string(rule) if isinstance(rule, str) else rule
        return found

    def contradictions(self) -> list[str]:
        """Return a sentence for each setting with which simplejwt refuses every token that we would accept."""
        key = "SIGNING_KEY" if settings.SIMPLEJWT_ALGORITHM.startswith("HS") else "VERIFYING_KEY"
        said = {
            "ALGORITHM": self.ALGORITHM in (None, settings.SIMPLEJWT_ALGORITHM),
            "USER_ID_CLAIM": self.USER_ID_CLAIM in (None, settings.SIMPLEJWT_USER_ID_CLAIM),
            key: getattr(self, key) in (None, settings.SIMPLEJWT_VERIFYING_KEY),
        }
        found = [
            f"SIMPLE_JWT[{name!r}] is not what SECURECORE says." for name, is_equal in said.items() if not is_equal
        ]
        if self.JWK_URL and not settings.SIMPLEJWT_ALGORITHM.startswith("HS"):
            found.append(
                "SIMPLE_JWT['JWK_URL'] takes keys from an address, SECURECORE['SIMPLEJWT_VERIFYING_KEY'] has one."
            )
        if self.AUTH_HEADER_NAME != "HTTP_AUTHORIZATION" or "Bearer" not in _listed(self.AUTH_HEADER_TYPES):
            found.append("SIMPLE_JWT takes tokens from another header than 'Authorization: Bearer'.")
        if not any(_path(each) == _ACCESS_TOKEN for each in _listed(self.AUTH_TOKEN_CLASSES)):
            found.append(
                f"SIMPLE_JWT['AUTH_TOKEN_CLASSES'] is without {_ACCESS_TOKEN}, the only kind that is known here."
            )
        if not self.JTI_CLAIM:
            found.append("SIMPLE_JWT['JTI_CLAIM'] is empty: such a token has no name by which it could be revoked.")
        return found


def current() -> SimpleJWT:
    """Return the settings as the project has them now; the defaults without ``SIMPLE_JWT``."""
    given = getattr(django_settings, "SIMPLE_JWT", None) or {}
    return SimpleJWT(**{each.name: given[each.name] for each in fields(SimpleJWT) if each.name in given})


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _path(token_class: Any) -> str:
    if isinstance(token_class, str):
        return token_class
    return f"{getattr(token_class, '__module__', '')}.{getattr(token_class, '__qualname__', '')}"
