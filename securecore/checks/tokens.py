from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.settings import api_settings

from securecore import clock, conf, database
from securecore.checks import urlconf
from securecore.http.authentication import SimpleJWTAuthentication
from securecore.http.oauth.token import TokenView
from securecore.models import SigningKey
from securecore.tokens import keys, simplejwt_settings

#: Seconds. ASVS 5.0 and RFC 9700 demand minutes: a stolen token that is never reported works until it expires.
_LONGEST_LIFETIME = 900


def e301_signing_keys(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for given in conf.settings.TOKEN_SIGNING_KEYS:
        try:
            keys.load_configured(given)
        except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
            found.append(
                Error(
                    f"The signing key {given['kid']!r} cannot be used for {given['alg']}: {error}",
                    hint="'private_key' must be an unencrypted PEM private key that fits 'alg': for ES256 make one by "
                    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256.",
                    id="securecore.E301",
                )
            )
    return found


def w302_token_lifetime(**_: Any) -> list[CheckMessage]:
    if conf.settings.ACCESS_TOKEN_LIFETIME <= _LONGEST_LIFETIME:
        return []
    return [
        Warning(
            f"Access tokens live for {conf.settings.ACCESS_TOKEN_LIFETIME} seconds.",
            hint=f"Set SECURECORE['ACCESS_TOKEN_LIFETIME'] to at most {_LONGEST_LIFETIME}.",
            id="securecore.W302",
        )
    ]


def e303_simplejwt(**_: Any) -> list[CheckMessage]:
    if not any(issubclass(item, SimpleJWTAuthentication) for item in _classes_in_use()):
        return []
    theirs = simplejwt_settings.current()
    problems = theirs.problems()
    try:
        theirs.authentication_rule()
    except ImportError as error:
        problems.append(f"SIMPLE_JWT['USER_AUTHENTICATION_RULE'] cannot be imported: {error}")
    return [
        Error(
            f"{problem} No token of simplejwt is accepted.",
            hint="Copy SIMPLE_JWT from the settings of the service that issues the tokens, and name its SIGNING_KEY, "
            "which is that service's SECRET_KEY by default. Or use simplejwt's own authentication class.",
            id="securecore.E303",
        )
        for problem in problems
    ]


def w304_no_signing_key(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a token endpoint without a key: each request for a token would be a 500.

    ``ENCRYPTION_KEYS`` can mean that the keys are in the table, which is read by ``manage.py check --database default``
    only.
    """
    may_be_stored = bool(conf.settings.ENCRYPTION_KEYS)
    if conf.settings.TOKEN_SIGNING_KEYS or not any(issubclass(view, TokenView) for view in urlconf.view_classes()):
        return []
    if may_be_stored and (conf.settings.DATABASE not in (databases or ()) or _has_stored_key()):
        return []
    return [
        Warning(
            "The token endpoint has no key to sign a token with.",
            hint="Set SECURECORE['TOKEN_ISSUER'], ['TOKEN_AUDIENCE'] and ['TOKEN_SIGNING_KEYS'], with a key by "
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256, or set ['TOKEN_ISSUER'], "
            "['TOKEN_AUDIENCE'] and ['ENCRYPTION_KEYS'] and run manage.py securecore_keys rotate. "
            "Without tokens, mount only the views of securecore.urls that you use.",
            id="securecore.W304",
        )
    ]


def _has_stored_key() -> bool:
    """Return whether the table has a live key; True also without the table, which W707 reports."""
    table = SigningKey._meta.db_table
    if table not in database.connection().introspection.table_names():
        return True
    return SigningKey.objects.using(conf.settings.DATABASE).signing(clock.now()).exists()


def _classes_in_use() -> set[type[Any]]:
    own = [item for view in urlconf.view_classes() for item in getattr(view, "authentication_classes", ())]
    return {item for item in (*api_settings.DEFAULT_AUTHENTICATION_CLASSES, *own) if isinstance(item, type)}


CHECKS = (e301_signing_keys, w302_token_lifetime, e303_simplejwt, w304_no_signing_key)
DATABASE_CHECKS = (w304_no_signing_key,)
