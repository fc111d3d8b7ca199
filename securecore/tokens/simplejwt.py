"""Access tokens of djangorestframework-simplejwt, accepted while a project moves away from it.

They are bearer tokens: nothing binds them. What changes at once is that they can be revoked, by ``jti`` and by user.
Whatever simplejwt refuses is refused here too, by its own settings: ``simplejwt_settings`` reads ``SIMPLE_JWT``.
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

from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.texts import is_storable
from securecore.tokens import simplejwt_settings
from securecore.tokens.access import AccessToken, times_of
from securecore.tokens.simplejwt_settings import SimpleJWT

_LONGEST = 8192
#: The issuer under which revocations are recorded: their tokens name none by default.
ISSUER = "simplejwt"
CLIENT_ID = "simplejwt"
#: What decoding, and reading claims of any shape, can raise.
_JUNK = (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError)
#: What looking for a user by a claim of any shape can raise.
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
    """A token that was good, and the rest of what simplejwt asks about its user."""

    token: AccessToken
    #: The claim about the user's password, where simplejwt compares it.
    password: Any

    def require_user(self, user: Any) -> None:
        """Raise ``InvalidToken`` if simplejwt refuses the token for this active user: for example since the password
        was changed (``CHECK_REVOKE_TOKEN``), or by ``USER_AUTHENTICATION_RULE``.
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
    """Return what a simplejwt access token says; see ``verify_all``."""
    return verify_all(presented_token, now=now).token


def verify_all(presented_token: str, *, now: dt.datetime) -> Verified:
    """Return what a simplejwt access token says. Raises ``InvalidToken``.

    ``SIMPLEJWT_VERIFYING_KEY`` and ``SIMPLEJWT_ALGORITHM`` are that project's ``SIGNING_KEY`` (or ``VERIFYING_KEY``)
    and ``ALGORITHM``, ``SIMPLEJWT_USER_ID_CLAIM`` its ``USER_ID_CLAIM``. A token without ``iat`` counts as issued at
    the epoch. Costs a statement where ``USER_ID_FIELD`` is not the primary key. No token is accepted while the two
    packages' settings contradict each other (securecore.E303).
    """
    theirs = simplejwt_settings.current()
    if not settings.SIMPLEJWT_VERIFYING_KEY or len(presented_token) > _LONGEST or theirs.contradictions():
        raise InvalidToken
    try:
        claims: dict[str, Any] = jwt.decode(
            presented_token,
            settings.SIMPLEJWT_VERIFYING_KEY,
            algorithms=[settings.SIMPLEJWT_ALGORITHM],
            audience=theirs.AUDIENCE,
            issuer=theirs.ISSUER,
            options={
                "require": ["exp", theirs.JTI_CLAIM, theirs.type_claim, settings.SIMPLEJWT_USER_ID_CLAIM],
                # The times are judged by the request's own instant.
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
        token = dataclasses.replace(
            token, subject=_key_of(theirs.USER_ID_FIELD, claims[settings.SIMPLEJWT_USER_ID_CLAIM])
        )
    return Verified(token, claims.get(theirs.REVOKE_TOKEN_CLAIM))


def _require_times(claims: dict[str, Any], theirs: SimpleJWT, now: dt.datetime) -> None:
    """Judge the times with ``LEEWAY``, in whole seconds as simplejwt does. Beyond ``CLOCK_SKEW`` no leeway counts: a
    revocation is not remembered any longer.
    """
    begins, ends = times_of(claims)
    instant, leeway = now.timestamp(), min(theirs.leeway, settings.CLOCK_SKEW)
    if begins > instant + leeway or int(ends) <= instant - leeway:
        raise InvalidToken


def _described(claims: dict[str, Any], theirs: SimpleJWT) -> AccessToken:
    jti, subject = claims[theirs.JTI_CLAIM], claims[settings.SIMPLEJWT_USER_ID_CLAIM]
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
    """Return the primary key of the one user whose ``field`` has this value."""
    users = get_user_model()._default_manager.using(settings.DATABASE)
    try:
        return str(users.values_list("pk", flat=True).get(**{field: value}))
    except _NO_USER as error:
        raise InvalidToken from error
