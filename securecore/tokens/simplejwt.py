"""Verify access tokens of djangorestframework-simplejwt, while a project moves to securecore.

These are bearer tokens without a binding. Under securecore they can be revoked at once, by ``jti`` and by user. A token
that simplejwt refuses is refused here too, by simplejwt's settings: ``simplejwt_settings`` reads ``SIMPLE_JWT``. This
module issues no token.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import Any

import jwt
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError, MultipleObjectsReturned, ObjectDoesNotExist, ValidationError
from django.utils.crypto import constant_time_compare

from securecore import clock
from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.texts import is_storable
from securecore.tokens import simplejwt_settings
from securecore.tokens.access import AccessToken, times_of
from securecore.tokens.simplejwt_settings import SimpleJWT

_LONGEST = 8192
#: The issuer of the revocation rows: by default simplejwt's tokens have no ``iss``.
ISSUER = "simplejwt"
CLIENT_ID = "simplejwt"
#: The exceptions of a decoder, and of reading claims that may have any shape.
_JUNK = (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError)
#: The exceptions of a user query with a claim that may have any shape.
_NO_USER = (
    ObjectDoesNotExist,
    MultipleObjectsReturned,
    FieldError,
    ValidationError,
    TypeError,
    ValueError,
    OverflowError,
)


@dataclasses.dataclass(frozen=True)
class Verified:
    """A good token, with the claim that simplejwt compares with the user's password."""

    token: AccessToken
    #: The claim ``REVOKE_TOKEN_CLAIM``: a hash of the user's password hash.
    password: Any

    def require_user(self, user: Any) -> None:
        """Raise ``InvalidToken`` if simplejwt refuses the token for this active user.

        ``CHECK_REVOKE_TOKEN`` refuses a token from before the last change of the password. ``USER_AUTHENTICATION_RULE``
        is the project's own function.
        """
        theirs = simplejwt_settings.current()
        if theirs.CHECK_REVOKE_TOKEN:
            expected = hashlib.md5(user.password.encode(), usedforsecurity=False).hexdigest().upper()
            if not isinstance(self.password, str) or not constant_time_compare(self.password, expected):
                raise InvalidToken
        try:
            rule = theirs.authentication_rule()
        except ImportError as error:
            raise InvalidToken from error
        if rule is not None and not rule(user):
            raise InvalidToken


def verify(presented_token: str, *, now: dt.datetime) -> AccessToken:
    """Return the contents of a simplejwt access token; see ``verify_all``."""
    return verify_all(presented_token, now=now).token


def verify_all(presented_token: str, *, now: dt.datetime) -> Verified:
    """Return the contents of a simplejwt access token and its password claim. Raises ``InvalidToken``.

    A token without ``iat`` counts as issued at the Unix epoch. If ``USER_ID_FIELD`` is not the primary key, the
    verification runs one statement. While ``SIMPLE_JWT`` has no key, or a setting that securecore cannot follow, every
    token is refused (securecore.E303).
    """
    theirs = simplejwt_settings.current()
    if len(presented_token) > _LONGEST or theirs.problems():
        raise InvalidToken
    try:
        claims: dict[str, Any] = jwt.decode(
            presented_token,
            theirs.key,
            algorithms=[theirs.ALGORITHM],
            audience=theirs.AUDIENCE,
            issuer=theirs.ISSUER,
            options={
                "require": ["exp", theirs.JTI_CLAIM, theirs.type_claim, theirs.USER_ID_CLAIM],
                # ``_require_times`` judges the times by the request's own instant.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": theirs.AUDIENCE is not None,
            },
        )
        _require_times(claims, theirs, now)
        token = _described(claims, theirs)
    except _JUNK as error:
        raise InvalidToken from error
    if not theirs.names_the_primary_key():
        token = dataclasses.replace(token, subject=_key_of(theirs.USER_ID_FIELD, claims[theirs.USER_ID_CLAIM]))
    return Verified(token, claims.get(theirs.REVOKE_TOKEN_CLAIM))


def is_accepted() -> bool:
    """Say whether the project's ``SIMPLE_JWT`` lets securecore verify tokens of simplejwt."""
    return not simplejwt_settings.current().problems()


def lifetime() -> float:
    """Return the seconds for which an access token of simplejwt lives, by the settings of this project."""
    return simplejwt_settings.current().ACCESS_TOKEN_LIFETIME.total_seconds()


def _require_times(claims: dict[str, Any], theirs: SimpleJWT, now: dt.datetime) -> None:
    """Raise ``InvalidToken`` outside the token's times, give or take ``LEEWAY``.

    The end counts in whole seconds, as in simplejwt. ``LEEWAY`` counts up to ``clock.SKEW`` only, because a revocation
    row stays for ``clock.SKEW`` after the token's end.
    """
    begins, ends = times_of(claims)
    instant, leeway = now.timestamp(), min(theirs.leeway, clock.SKEW)
    if begins > instant + leeway or int(ends) <= instant - leeway:
        raise InvalidToken


def _described(claims: dict[str, Any], theirs: SimpleJWT) -> AccessToken:
    jti, subject = claims[theirs.JTI_CLAIM], claims[theirs.USER_ID_CLAIM]
    if claims[theirs.type_claim] != "access" or not isinstance(jti, str) or not jti:
        raise InvalidToken
    if not is_storable(str(subject)):
        raise InvalidToken
    return AccessToken(
        jti=jti,
        subject=str(subject),
        client_id=CLIENT_ID,
        issuer=ISSUER,
        issued_at=dt.datetime.fromtimestamp(claims.get("iat", 0), dt.UTC),
        expires_at=dt.datetime.fromtimestamp(claims["exp"], dt.UTC),
        binding="",
        is_registered=False,
    )


def _key_of(field: str, value: Any) -> str:
    """Return the primary key of the one user with this value in ``field``. Raises ``InvalidToken``."""
    users = get_user_model()._default_manager.using(settings.DATABASE)
    try:
        return str(users.values_list("pk", flat=True).get(**{field: value}))
    except _NO_USER as error:
        raise InvalidToken from error
