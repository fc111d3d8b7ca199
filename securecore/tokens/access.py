"""Issue and verify access tokens (RFC 9068, RFC 8725).

Verification here judges signature, type, issuer, audience and times. Revocation is read from the database by
``securecore.caller``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import math
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

from securecore import clock, digests
from securecore.arguments import require_instant, require_name
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import InvalidToken, Misuse
from securecore.texts import is_storable, quoted
from securecore.tokens import epochs
from securecore.tokens.keys import SigningKey, known_key, signing_key

#: RFC 9068 section 2.1 allows these two spellings only.
_TYPES = ("at+jwt", "application/at+jwt")
_REQUIRED = ["iss", "aud", "exp", "iat", "sub", "jti", "client_id"]
#: Characters. securecore's tokens have about 700. The bound keeps a stranger from making a worker hash megabytes.
_LONGEST = 8192
#: The names of the confirmation methods in ``cnf`` (RFC 7800): RFC 8705 section 3.1 and RFC 9449 section 6.1.
CONFIRMATIONS = ("x5t#S256", "jkt")
#: The exceptions of a decoder, and of reading claims that may have any shape.
_JUNK = (
    jwt.PyJWTError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    OSError,
    RecursionError,
)

# PyJWT does not know the algorithm name of RFC 9864 yet.
with contextlib.suppress(ValueError):
    jwt.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())


@dataclass(frozen=True)
class AccessToken:
    """A token with a good signature, type, issuer, audience and times. The value does not show whether the token is
    revoked.
    """

    jti: str
    subject: str
    client_id: str
    issuer: str
    issued_at: dt.datetime
    expires_at: dt.datetime
    #: The key that the caller must prove: ``x5t#S256:<thumbprint>`` of a certificate, ``jkt:<thumbprint>`` of a DPoP
    #: key.
    binding: str
    #: Thumbprint of the certificate under which the token was obtained. Revoking that certificate revokes the token,
    #: also a token that is bound to a DPoP key.
    certificate: str = ""
    scope: str = ""
    #: The refresh-token family from which the token descends. The token is dead when the family is.
    family_id: uuid.UUID | None = None
    #: The epochs of the token's user and client at the time of issue.
    user_epoch: int = 0
    client_epoch: int = 0
    #: Whether the client was registered. If not, the user is the client, and ``client_id`` is a user name.
    is_registered: bool = True
    #: The ``kid`` of the signing key, if that key is a row. Retiring the key ends the token.
    stored_key: str | None = None

    def __hash__(self) -> int:
        return hash(self.jti)  # each request hashes its token, and equal tokens have equal ``jti``

    def is_bound_to_certificate(self, thumbprint: str) -> bool:
        """Say whether the caller must prove the certificate with this thumbprint (RFC 8705 section 3)."""
        # A plain comparison, here and below: a thumbprint is no secret, so the duration reveals nothing. The binding
        # may be any string, also one with lone surrogates, for which hmac.compare_digest would raise TypeError.
        return self.binding == f"x5t#S256:{thumbprint}"

    def is_bound_to_key(self, jkt: str) -> bool:
        """Say whether the caller must prove the DPoP key with this thumbprint (RFC 9449 section 6)."""
        return self.binding == f"jkt:{jkt}"

    @property
    def token_type(self) -> str:
        """The scheme under which a client presents the token: ``DPoP`` (RFC 9449 section 5) or ``Bearer``."""
        return "DPoP" if self.binding.startswith("jkt:") else "Bearer"


def issue(
    *,
    subject: str,
    client_id: str,
    binding: str,
    now: dt.datetime,
    certificate: str = "",
    scope: str = "",
    family_id: uuid.UUID | None = None,
    is_registered: bool = True,
) -> tuple[str, AccessToken]:
    """Return a signed token and its contents.

    ``certificate`` is the thumbprint of the certificate on the connection; a binding ``x5t#S256:`` already names that
    certificate. Without ``is_registered`` the token has no grants of ``service:NAME``. Raises ``Misuse`` if there is no
    signing key, and for a malformed ``binding``.
    """
    require_name(subject=subject, client_id=client_id)
    require_instant(now=now)
    key = signing_key(now)
    method, _, value = binding.partition(":")
    if method not in CONFIRMATIONS or not value:
        raise Misuse(f"A token is bound to x5t#S256:<thumbprint> or jkt:<thumbprint>, not to {quoted(binding)}.")
    user_epoch, client_epoch = epochs.current(epochs.user_subject(subject), epochs.client_subject(client_id))
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": settings.TOKEN_ISSUER,
        "aud": settings.TOKEN_AUDIENCE,
        "sub": subject,
        "client_id": client_id,
        "iat": issued_at,
        "exp": issued_at + settings.ACCESS_TOKEN_LIFETIME,
        "jti": digests.new_identifier(),
        "cnf": {method: value},
        "epochs": [user_epoch, client_epoch],
    }
    if method != "x5t#S256":
        if not certificate:
            raise Misuse("A token that is bound to a DPoP key also needs the thumbprint of the client certificate.")
        claims["certificate"] = certificate
    claims |= {"scope": scope} if scope else {}
    claims |= {"family": family_id.hex} if family_id is not None else {}
    claims |= {"registered": False} if not is_registered else {}
    headers = {"typ": "at+jwt", "kid": key.kid}
    encoded = jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers)
    return encoded, _described(claims, key.kid if key.is_stored else None)


def verify(presented_token: str, *, now: dt.datetime, is_early_good: bool = False) -> AccessToken:
    """Return the contents of a good token. Raises ``InvalidToken``, one refusal for every reason (RFC 9068 section 4).

    With ``is_early_good`` a token from the future is good too: this host's clock may be behind, and a revocation must
    not be lost by that.

    The header chooses a key by ``kid`` only. The key determines the algorithm; ``jku``, ``x5u`` and ``jwk`` are
    ignored. A token with ``crit`` is refused: securecore understands no extension (RFC 7515 section 4.1.11).
    """
    # RFC 7515 section 2 forbids padding. PyJWT accepts padding, so one token would have two spellings.
    if len(presented_token) > _LONGEST or "=" in presented_token:
        raise InvalidToken
    try:
        name = (hashlib.sha256(presented_token.encode()).digest(), settings.TOKEN_ISSUER, settings.TOKEN_AUDIENCE)
        signed = _good.get(name)
        if signed is None or known_key(signed.key.kid, now) is not signed.key:
            signed = _verified(presented_token, now, is_early_good)
            _good.put(name, signed)
        require_within(signed.times, now, is_early_good)
        return signed.token
    except _JUNK as error:
        raise InvalidToken from error


@dataclass(frozen=True, slots=True)
class _Signed:
    """A token that ``key`` signed, with its times. No field can ever become wrong."""

    key: SigningKey
    times: tuple[float, float]
    token: AccessToken


#: Verified tokens by their digest, so that no token lies in memory. Only tokens with a good signature are put in, so
#: strangers cannot fill the cache.
_good: BoundedCache[_Signed] = BoundedCache()


def _verified(presented_token: str, now: dt.datetime, is_early_good: bool) -> _Signed:
    """Verify everything that depends on the token, its key, ``TOKEN_ISSUER`` and ``TOKEN_AUDIENCE`` only.

    Raises ``InvalidToken`` and ``_JUNK``.
    """
    header = jwt.get_unverified_header(presented_token)
    key = known_key(header.get("kid"), now)
    if key is None:
        raise InvalidToken from jwt.InvalidKeyError("No key of this service with the kid of the token verifies now.")
    if header.get("alg") not in _names(key.algorithm) or "crit" in header:
        raise InvalidToken from jwt.InvalidAlgorithmError("The algorithm is not that of the key, or there is a crit.")
    if header.get("typ") not in _TYPES:
        raise InvalidToken from jwt.InvalidTokenError("The typ is not that of an access token.")
    claims = jwt.decode(
        presented_token,
        key.public,
        algorithms=_names(key.algorithm),
        audience=settings.TOKEN_AUDIENCE,
        issuer=settings.TOKEN_ISSUER,
        # ``require_within`` judges all times by the request's own instant and ``clock.SKEW``.
        options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    times = times_of(claims)
    require_within(times, now, is_early_good)
    return _Signed(key, times, _described(claims, key.kid if key.is_stored else None))


def is_our_type(presented_token: str) -> bool:
    """Say whether the token's header, not yet verified, has a ``typ`` of RFC 9068."""
    try:
        return jwt.get_unverified_header(presented_token).get("typ") in _TYPES
    except _JUNK:
        return False


def audience() -> str:
    """Return the ``aud`` of securecore's tokens (RFC 9068 section 2.2)."""
    return settings.TOKEN_AUDIENCE


def _names(algorithm: str) -> list[str]:
    # RFC 9864 renames EdDSA over Curve25519 to Ed25519. Today's clients send either name.
    return ["EdDSA", "Ed25519"] if algorithm == "EdDSA" else [algorithm]


def times_of(claims: dict[str, Any]) -> tuple[float, float]:
    """Return the first and the last second of a token, from ``iat``, ``nbf`` and ``exp``.

    Raises ``InvalidToken`` and ``OverflowError`` for a value that is no instant.
    """
    begins = [claims.get(name, 0) for name in ("iat", "nbf")]
    for value in (*begins, claims["exp"]):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            raise InvalidToken
    return max(begins), claims["exp"]


def require_within(times: tuple[float, float], now: dt.datetime, is_early_good: bool = False) -> None:
    """Raise ``InvalidToken`` unless ``now`` lies within ``times_of`` a token, give or take ``clock.SKEW``."""
    begins, ends = times
    instant, skew = now.timestamp(), clock.SKEW
    if begins > instant + skew and not is_early_good:
        raise InvalidToken from jwt.ImmatureSignatureError(f"The token begins in {begins - instant:.0f} s.")
    if ends <= instant - skew:
        raise InvalidToken from jwt.ExpiredSignatureError(f"The token expired {instant - ends:.0f} s ago.")


def _described(claims: dict[str, Any], stored_key: str | None) -> AccessToken:
    (method, value), *more = claims["cnf"].items()
    scope = claims.get("scope", "")
    certificate = value if method == "x5t#S256" else claims["certificate"]
    named = (claims["jti"], claims["sub"], claims["client_id"], value, certificate)
    if more or method not in CONFIRMATIONS or not isinstance(scope, str):
        raise InvalidToken
    if not all(isinstance(text, str) and text for text in named):
        raise InvalidToken
    user_epoch, client_epoch = claims["epochs"]
    if type(user_epoch) is not int or type(client_epoch) is not int or not all(map(is_storable, named[1:])):
        raise InvalidToken
    is_registered = claims.get("registered", True)
    if type(is_registered) is not bool:
        raise InvalidToken
    return AccessToken(
        jti=claims["jti"],
        subject=claims["sub"],
        client_id=claims["client_id"],
        issuer=claims["iss"],
        issued_at=dt.datetime.fromtimestamp(claims["iat"], dt.UTC),
        expires_at=dt.datetime.fromtimestamp(claims["exp"], dt.UTC),
        binding=f"{method}:{value}",
        certificate=certificate,
        scope=scope,
        family_id=uuid.UUID(claims["family"]) if "family" in claims else None,
        user_epoch=user_epoch,
        client_epoch=client_epoch,
        is_registered=is_registered,
        stored_key=stored_key,
    )
