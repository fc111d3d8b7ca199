from __future__ import annotations

from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from django.core.checks import CheckMessage, Error, Warning

from securecore import conf
from securecore.tokens import keys

#: ASVS 5.0 and RFC 9700 call for minutes; a stolen token that nobody reports works this long.
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


CHECKS = (e301_signing_keys, w302_token_lifetime)
