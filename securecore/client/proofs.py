"""Build the proofs that ``@fresh`` requires: timestamp and nonce, DPoP proof, or message signature.

``exchange`` sends the requests. The server checks the proofs in ``securecore.replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import http_sf
import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from securecore import clock, digests
from securecore.content_digest import content_digest
from securecore.message_signatures import Covered, PrivateKey, Request, sign, signature_base


@dataclass(frozen=True)
class Outgoing(Request):
    """A request before it is sent, with its raw body."""

    body: bytes = b""


class Answer(Protocol):
    """The common part of the responses of httpx and requests. ``text`` is available if the status is 400."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str: ...

    def close(self) -> None: ...


class Proof(Protocol):
    def headers(self, request: Outgoing) -> dict[str, str]:
        """Return the headers to add to ``request``. Called again for each attempt."""
        ...

    def learns(self, request: Outgoing, answer: Answer) -> bool:
        """Keep the nonce of a response for the next proof; return whether the service demands a repeat with it."""
        ...


class TimestampNonce:
    """``X-Request-Timestamp`` and ``X-Request-Nonce``, for ``@fresh``."""

    def headers(self, request: Outgoing) -> dict[str, str]:
        return {
            "X-Request-Timestamp": str(int(clock.now().timestamp())),
            "X-Request-Nonce": digests.new_identifier(),
        }

    def learns(self, request: Outgoing, answer: Answer) -> bool:
        return False


#: Fields that ``@fresh(proof="signature")`` requires in the signature if the request has them.
_COVERED_FIELDS = ("content-digest", "content-type", "content-encoding", "idempotency-key", "authorization")


class MessageSignature:
    """An HTTP message signature (RFC 9421) with ``Content-Digest`` (RFC 9530), for ``@fresh(proof="signature")``.

    ``key`` is a private key or the path of its PEM file (not encrypted). ``keyid`` is the key's name at the service.
    The signature also covers Content-Type, Content-Encoding, Idempotency-Key and Authorization if the request has them.
    """

    #: Seconds until the signature expires. The service's REPLAY_WINDOW may end it earlier.
    lifetime = 60

    def __init__(self, key: PrivateKey | str | Path, keyid: str) -> None:
        self._key, self._keyid = _loaded(key), keyid

    @classmethod
    def of_certificate(cls, certificate: str | Path, key: PrivateKey | str | Path) -> MessageSignature:
        """Sign with the key of the client certificate (a PEM file), which the service knows from the connection."""
        loaded = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
        return cls(key, digests.thumbprint(loaded.public_bytes(Encoding.DER)))

    def headers(self, request: Outgoing) -> dict[str, str]:
        added = {"Content-Digest": content_digest(request.body)} if request.body else {}
        fields = {**request.fields, **{name.lower(): value for name, value in added.items()}}
        names = ["@method", "@target-uri", "@authority", *(name for name in _COVERED_FIELDS if fields.get(name))]
        created = int(clock.now().timestamp())
        parameters = {"created": created, "expires": created + self.lifetime}
        covered = Covered(
            "sig",
            tuple((name, {}) for name in names),
            {**parameters, "nonce": digests.new_identifier(), "keyid": self._keyid},
        )
        value = sign(signature_base(covered, Request(request.method, request.url, fields)), self._key)
        return {**added, "Signature-Input": str(covered), "Signature": http_sf.ser({"sig": value})}

    def learns(self, request: Outgoing, answer: Answer) -> bool:
        return False


class DPoP:
    """An access token and a proof of its key (RFC 9449), for ``@fresh(proof="dpop")``.

    ``token`` is the access token, or a function that returns the current access token. Without ``token`` the proof is
    for the token endpoint. If the service sends a nonce, later proofs contain it (section 8.2). A request that is
    refused for lack of a nonce is sent again.
    """

    def __init__(self, key: PrivateKey | str | Path, token: str | Callable[[], str] | None = None) -> None:
        self._key, self._token = _loaded(key), token
        self._algorithm = _jose_algorithm(self._key)
        described = jwt.get_algorithm_by_name(self._algorithm).to_jwk(self._key.public_key(), as_dict=True)
        self._jwk = {name: value for name, value in described.items() if name != "key_ops"}
        self._nonces: dict[str, str] = {}

    def headers(self, request: Outgoing) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        claims: dict[str, Any] = {
            "jti": digests.new_identifier(),
            "htm": request.method,
            "htu": request.url.partition("?")[0],
            "iat": int(clock.now().timestamp()),
        }
        if token is not None:
            claims["ath"] = digests.access_token_hash(token)
        if nonce := self._nonces.get(_origin(request)):
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "jwk": self._jwk}
        proof = {"DPoP": jwt.encode(claims, self._key, self._algorithm, headers=header)}
        return proof if token is None else {**proof, "Authorization": f"DPoP {token}"}

    def learns(self, request: Outgoing, answer: Answer) -> bool:
        nonce = answer.headers.get("DPoP-Nonce")
        if not nonce:
            return False
        self._nonces[_origin(request)] = nonce
        # A resource demands a nonce in the challenge of a 401 (section 9), the token endpoint in the body of a 400
        # (section 8).
        errors = {400: lambda: answer.text, 401: lambda: answer.headers.get("WWW-Authenticate", "")}
        return "use_dpop_nonce" in errors.get(answer.status_code, str)()


def _origin(request: Outgoing) -> str:
    parts = urlsplit(request.url)
    return f"{parts.scheme}://{parts.netloc}"


def _loaded(key: PrivateKey | str | Path) -> Any:
    return load_pem_private_key(Path(key).read_bytes(), None) if isinstance(key, (str, Path)) else key


def _jose_algorithm(key: Any) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ES256"
    return "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "PS256"
