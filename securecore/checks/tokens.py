from __future__ import annotations

from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.settings import api_settings

from securecore import conf
from securecore.checks import urlconf
from securecore.http.authentication import SimpleJWTAuthentication
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


def _classes_in_use() -> set[type[Any]]:
    views = [getattr(callback, "cls", None) for callback in urlconf.callbacks()]
    own = [item for view in views for item in getattr(view, "authentication_classes", ())]
    return {item for item in (*api_settings.DEFAULT_AUTHENTICATION_CLASSES, *own) if isinstance(item, type)}


CHECKS = (e301_signing_keys, w302_token_lifetime, e303_simplejwt)
