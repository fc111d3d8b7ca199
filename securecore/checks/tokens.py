from __future__ import annotations

from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from django.core.checks import CheckMessage, Error, Warning

from securecore import conf
from securecore.tokens import keys, simplejwt_settings

#: Seconds. ASVS 5.0 and RFC 9700 demand minutes: a stolen token that is never reported works until it expires.
_LONGEST_LIFETIME = 900


def e301_signing_keys(**_: Any) -> list[CheckMessage]:
    if not conf.settings.TOKEN_SIGNING_KEYS:
        return []
    try:
        keys.configured()
    except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
        return [
            Error(
                f"A signing key cannot be used: {error}",
                hint="'private_key' must be an unencrypted PEM private key that fits 'alg'.",
                id="securecore.E301",
            )
        ]
    return []


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
    if not conf.settings.SIMPLEJWT_VERIFYING_KEY:
        return []
    theirs = simplejwt_settings.current()
    problems = theirs.contradictions()
    try:
        theirs.authentication_rule()
    except ImportError as error:
        problems.append(f"SIMPLE_JWT['USER_AUTHENTICATION_RULE'] cannot be imported: {error}")
    return [
        Error(
            f"{problem} No token of simplejwt is accepted.",
            hint="Make SIMPLEJWT_VERIFYING_KEY, SIMPLEJWT_ALGORITHM and SIMPLEJWT_USER_ID_CLAIM of SECURECORE equal to "
            "SIMPLE_JWT of the service that issues the tokens, or use simplejwt's own authentication class.",
            id="securecore.E303",
        )
        for problem in problems
    ]


def w304_simplejwt_defaults(**_: Any) -> list[CheckMessage]:
    if not conf.settings.SIMPLEJWT_VERIFYING_KEY or hasattr(conf.django_settings, "SIMPLE_JWT"):
        return []
    return [
        Warning(
            "simplejwt's tokens are judged by its default settings: the user's primary key, any audience, any issuer.",
            hint="Copy SIMPLE_JWT from the settings of the service that issues them; SIMPLE_JWT = {} if it has none.",
            id="securecore.W304",
        )
    ]


CHECKS = (e301_signing_keys, w302_token_lifetime, e303_simplejwt, w304_simplejwt_defaults)
