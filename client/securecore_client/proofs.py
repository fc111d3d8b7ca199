"""Build the proofs that ``@fresh`` requires: timestamp and nonce, DPoP proof, or message signature.

``exchange`` sends the requests. The server checks the proofs in ``securecore.replay``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import http_sf
import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Covered, PrivateKey, Request, algorithm_of, sign, signature_base
from securecore_client.wire.thumbprints import access_token_hash, thumbprint


@dataclass(frozen=True)
class Outgoing(Request):
    """A request before it is sent, with its raw body. ``url`` and ``fields`` are those of the wire: see ``Request``."""

    body: bytes = b""


class Response(Protocol):
    """The common part of the responses of all HTTP libraries. ``text`` is read if the status is 400."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str: ...

    def close(self) -> None: ...


class Proof(Protocol):
    """Headers that prove one request. A project may write its own kind of proof."""

    def headers(self, request: Outgoing) -> dict[str, str]:
        """Return the headers to add to ``request``. Called again for each attempt, so that each proof is new."""
        ...

    def learn_from(self, request: Outgoing, response: Response) -> bool:
        """Keep the nonce of a response for the next proof; return whether the service demands a repeat with it."""
        ...


class TimestampNonce:
    """``X-Request-Timestamp`` and ``X-Request-Nonce``, for ``@fresh``."""

    def headers(self, request: Outgoing) -> dict[str, str]:
        return {
            "X-Request-Timestamp": str(int(time.time())),
            "X-Request-Nonce": _new_identifier(),
        }

    def learn_from(self, request: Outgoing, response: Response) -> bool:
        return False


#: Fields that ``@fresh(proof="signature")`` requires in the signature if the request has them.
_COVERED_FIELDS = ("content-digest", "content-type", "content-encoding", "idempotency-key", "authorization")


class MessageSignature:
    """An HTTP message signature (RFC 9421) with ``Content-Digest`` (RFC 9530), for ``@fresh(proof="signature")``.

    ``key`` is a private key or the path of its PEM file (not encrypted): of P-256, P-384, Ed25519, or RSA with 2048 to
    4096 bits. Raises ``ValueError`` for another key. ``keyid`` is the key's name at the service. The signature also
    covers Content-Type, Content-Encoding, Idempotency-Key and Authorization if the request has them.
    """

    #: Seconds until the signature expires. The service's REPLAY_WINDOW may end it earlier.
    lifetime = 60

    def __init__(self, key: PrivateKey | str | Path, keyid: str) -> None:
        self._key, self._keyid = _loaded(key), keyid

    @classmethod
    def of_certificate(cls, certificate: str | Path, key: PrivateKey | str | Path) -> MessageSignature:
        """Sign with the key of the client certificate (a PEM file), which the service knows from the connection.

        Raises ``ValueError`` if ``key`` is not the key of the certificate.
        """
        loaded = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
        signature = cls(key, thumbprint(loaded.public_bytes(Encoding.DER)))
        if signature._key.public_key() != loaded.public_key():
            raise ValueError(
                f"The key is not that of the certificate {certificate}. Give the key file that belongs to it."
            )
        return signature

    def headers(self, request: Outgoing) -> dict[str, str]:
        added = {"Content-Digest": content_digest(request.body)} if request.body else {}
        fields = {**request.fields, **{name.lower(): value for name, value in added.items()}}
        names = ["@method", "@target-uri", "@authority", *(name for name in _COVERED_FIELDS if fields.get(name))]
        created = int(time.time())
        parameters = {"created": created, "expires": created + self.lifetime}
        covered = Covered(
            "sig",
            tuple((name, {}) for name in names),
            {**parameters, "nonce": _new_identifier(), "keyid": self._keyid},
        )
        value = sign(signature_base(covered, Request(request.method, request.url, fields)), self._key)
        return {**added, "Signature-Input": str(covered), "Signature": http_sf.ser({"sig": value})}

    def learn_from(self, request: Outgoing, response: Response) -> bool:
        return False


class DPoP:
    """An access token and a proof of its key (RFC 9449), for ``@fresh(proof="dpop")``.

    ``key`` is a private key or the path of its PEM file (not encrypted): of P-256, Ed25519, or RSA with 2048 to 4096
    bits. Raises ``ValueError`` for another key.

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
            "jti": _new_identifier(),
            "htm": request.method,
            "htu": request.url.partition("?")[0],
            "iat": int(time.time()),
        }
        if token is not None:
            claims["ath"] = access_token_hash(token)
        if nonce := self._nonces.get(_origin(request)):
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "jwk": self._jwk}
        proof = {"DPoP": jwt.encode(claims, self._key, self._algorithm, headers=header)}
        return proof if token is None else {**proof, "Authorization": f"DPoP {token}"}

    def learn_from(self, request: Outgoing, response: Response) -> bool:
        nonce = response.headers.get("DPoP-Nonce")
        if not nonce:
            return False
        self._nonces[_origin(request)] = nonce
        # A resource demands a nonce in the challenge of a 401 (section 9), the token endpoint in the body of a 400
        # (section 8).
        errors = {400: lambda: response.text, 401: lambda: response.headers.get("WWW-Authenticate", "")}
        return "use_dpop_nonce" in errors.get(response.status_code, str)()


def _new_identifier() -> str:
    """Return 128 random bits as 22 base64url characters, for values that are unique but not secret."""
    return secrets.token_urlsafe(16)


def _origin(request: Outgoing) -> str:
    parts = urlsplit(request.url)
    return f"{parts.scheme}://{parts.netloc}"


def _loaded(key: PrivateKey | str | Path) -> Any:
    """Return the key, from its PEM file if ``key`` is a path. Raises ``ValueError`` if no service accepts the key."""
    loaded = load_pem_private_key(Path(key).read_bytes(), None) if isinstance(key, (str, Path)) else key
    algorithm_of(loaded)
    return loaded


#: The JOSE name of each algorithm of RFC 9421 that DPoP has too.
_JOSE_ALGORITHMS = {"ecdsa-p256-sha256": "ES256", "ed25519": "EdDSA", "rsa-pss-sha512": "PS256"}


def _jose_algorithm(key: Any) -> str:
    name = _JOSE_ALGORITHMS.get(algorithm_of(key))
    if name is None:
        raise ValueError("A key for DPoP is of P-256, Ed25519, or RSA with 2048 to 4096 bits.")
    return name
