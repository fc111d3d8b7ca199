"""HTTP Message Signatures (RFC 9421): what is signed, and how each kind of key signs it.

Needs no Django: ``securecore.replay`` verifies with it what clients sign, ``securecore.http`` what the proxy signs, and
``securecore.client`` signs with it, all over the same base.
Structured fields are read and written by ``http_sf``; of what it reads, nothing is used but through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

import http_sf
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

#: Each curve of the registry with its name there, its hash, and the bytes of one coordinate (sections 3.3.4 and 3.3.5).
_CURVES: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("ecdsa-p256-sha256", hashes.SHA256(), 32),
    "secp384r1": ("ecdsa-p384-sha384", hashes.SHA384(), 48),
}
#: Section 3.3.1: SHA-512 throughout, and a salt of 64 bytes.
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
#: Bits. Less is weak (RFC 8725 section 3.5), more is our processor's time at somebody else's choice.
_RSA_SIZES = range(2048, 4097)
_DEFAULT_PORTS = {"http": 80, "https": 443}

#: Every parameter of a signature that we know (section 2.3).
_PARAMETERS = {"created": int, "expires": int, "nonce": str, "keyid": str, "alg": str, "tag": str}
#: Characters of ``Signature-Input`` and of ``Signature``, and components in a member. Ours needs a third of each, and
#: each costs us work.
_LONGEST_INPUT = 4096
_LONGEST_SIGNATURE = 8192
_MOST_COMPONENTS = 32
#: The last second that a date can be written of; no wider integer ever reaches the arithmetic.
_LAST_SECOND = 253_402_300_799


class SignatureError(ValueError):
    """A signature that cannot be made or read; the message says why."""


class SignatureOutdated(SignatureError):
    """A signature that was made too long ago, or in the future, or that has expired."""


@dataclass(frozen=True)
class Covered:
    """The covered components and the parameters of one signature: a member of ``Signature-Input`` (section 4.1)."""

    label: str
    #: Component identifiers: a name, and the parameters of that component.
    components: tuple[tuple[str, dict[str, Any]], ...]
    #: ``created``, ``expires``, ``nonce``, ``alg``, ``keyid``, ``tag``, in the order in which they were written.
    parameters: dict[str, Any]

    def __str__(self) -> str:
        """The value of ``Signature-Input`` that has this member alone."""
        return _serialized({self.label: (list(self.components), self.parameters)})

    @property
    def whole(self) -> set[str]:
        """What is covered as a whole. A component with parameters is another one: ``@query-param`` of one name does not
        cover the query.
        """
        return {name for name, parameters in self.components if not parameters}

    def check_parameters(self) -> None:
        """Raise ``SignatureError`` for a parameter that is unknown or of the wrong type, and for impossible dates."""
        for name, value in self.parameters.items():
            # Not isinstance: a bool is an int, and a parameter nobody knows may restrict what was signed.
            if type(value) is not _PARAMETERS.get(name):
                raise SignatureError("A signature parameter is unknown or of the wrong type.")
        if not 0 <= self.parameters.get("created", 0) < self.parameters.get("expires", _LAST_SECOND) <= _LAST_SECOND:
            raise SignatureError("It must expire after it was created.")

    def check_dates(self, now: float, *, window: int, skew: int) -> None:
        """Raise ``SignatureOutdated`` unless it was created within ``window`` seconds before ``now`` (Unix time) and
        has not expired; clocks may differ by ``skew`` seconds. ``created`` must be there, and checked.
        """
        if not -skew <= now - self.parameters["created"] <= window:
            raise SignatureOutdated(f"It must have been created within {window} seconds of our clock.")
        if now > self.parameters.get("expires", _LAST_SECOND) + skew:
            raise SignatureOutdated("It has expired.")


@dataclass(frozen=True)
class Request:
    """The request that is signed. ``fields`` has lower-case names; several lines of one name are joined by ``", "``
    (section 2.1).
    """

    method: str
    #: The target URI: absolute, as it is on the wire (RFC 9110 section 7.1).
    url: str
    fields: Mapping[str, str]

    def component(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Return the value of a component. Raises ``SignatureError`` if it is not there or cannot be known here."""
        if name == "@query-param" and set(parameters) == {"name"}:
            return self._query_parameter(parameters["name"])
        if parameters:
            raise SignatureError(f"{name} with these parameters is not supported.")
        if name.startswith("@"):  # section 7.5.4: never from a field that somebody named so
            return self._derived(name)
        if name != name.lower():
            raise SignatureError("Field names are lower case.")  # section 2.1
        if name not in self.fields:
            raise SignatureError(f"{name} is covered and not there.")
        return self.fields[name].strip(" \t")

    def _derived(self, name: str) -> str:
        url = urlsplit(self.url)
        path, query = url.path or "/", f"?{url.query}" if url.query else ""
        values = {
            "@method": self.method,
            "@target-uri": self.url,
            "@authority": _authority(self.url),
            "@scheme": url.scheme.lower(),
            "@request-target": path + query,
            "@path": path,
            "@query": query or "?",
        }
        if name not in values:
            raise SignatureError(f"{name} is no component of a request.")
        return values[name]

    def _query_parameter(self, wanted: Any) -> str:
        """Section 2.2.8: decoded as a form and encoded again; a name that occurs twice cannot be signed."""
        found = self._query_parameters.get(wanted, []) if isinstance(wanted, str) else []
        if len(found) != 1:
            raise SignatureError("@query-param must name one parameter that occurs once.")
        return found[0]

    @cached_property
    def _query_parameters(self) -> dict[str, list[str]]:
        """Every parameter of the query by its encoded name. Read once, however many components name one: 32 components
        times 900 parameters took 0.12 s of our time for a signature that was bad.
        """
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True):
            parameters.setdefault(quote(name, safe="*"), []).append(quote(value, safe="*"))
        return parameters


def _authority(url: str) -> str:
    """Section 2.2.3: lower case, without a default port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    default = f":{_DEFAULT_PORTS.get(parts.scheme.lower())}"
    return host.removesuffix(default)


def signature_base(covered: Covered, request: Request) -> bytes:
    """Return what is signed (section 2.5). Raises ``SignatureError`` for components that cannot be signed."""
    lines = {}
    for name, parameters in covered.components:
        identifier = _serialized((name, parameters))
        if identifier in lines or name == "@signature-params":
            raise SignatureError(f"{identifier} is covered twice, or never may be.")
        lines[identifier] = request.component(name, parameters)
    _, _, lines['"@signature-params"'] = str(covered).partition("=")
    if any("\n" in value or "\r" in value for value in lines.values()):
        raise SignatureError("A value has a line break.")  # which would be a line of the base
    try:
        return "\n".join(f"{identifier}: {value}" for identifier, value in lines.items()).encode("ascii")
    except UnicodeEncodeError as error:
        raise SignatureError("A value is not ASCII.") from error


def _serialized(structure: Any) -> str:
    try:
        return http_sf.ser(structure)
    except ValueError as error:
        raise SignatureError("It cannot be written as a structured field.") from error


def read(signature_input: str, signature: str) -> tuple[Covered, bytes]:
    """Return the one signature in the presented fields ``Signature-Input`` and ``Signature`` (sections 4.1 and 4.2).

    Raises ``SignatureError``, also for several: which of them speaks for the caller nobody could say (section 7.2.5).
    """
    members = read_all(signature_input, signature)
    if len(members) != 1:
        raise SignatureError("There must be exactly one signature, under one label in both fields.")
    return members[0]


def read_all(signature_input: str, signature: str) -> list[tuple[Covered, bytes]]:
    """Return every signature in the presented fields. Raises ``SignatureError`` if one of them cannot be read."""
    if len(signature_input) > _LONGEST_INPUT or len(signature) > _LONGEST_SIGNATURE:
        raise SignatureError("Signature-Input or Signature is too long.")
    inputs, signatures = _dictionary(signature_input), _dictionary(signature)
    if inputs.keys() != signatures.keys():
        raise SignatureError("There must be exactly one signature, under one label in both fields.")
    return [(_covered(label, *inputs[label]), _bytes(signatures[label][0])) for label in inputs]


def write_all(members: list[tuple[Covered, bytes]]) -> tuple[str, str]:
    """Return ``Signature-Input`` and ``Signature`` with these members; empty without any."""
    inputs, signatures = [str(covered) for covered, _ in members], {covered.label: value for covered, value in members}
    return ", ".join(inputs), _serialized(signatures) if signatures else ""


def _covered(label: str, components: Any, parameters: dict[str, Any]) -> Covered:
    if not isinstance(components, list) or len(components) > _MOST_COMPONENTS:
        raise SignatureError(f"Signature-Input holds an inner list of at most {_MOST_COMPONENTS} components.")
    if not all(isinstance(name, str) for name, _ in components):
        raise SignatureError("Component names are strings.")
    return Covered(label, tuple(components), parameters)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise SignatureError("Signature holds a byte sequence.")
    return value


def _dictionary(presented: str) -> dict[str, Any]:
    try:
        return dict(http_sf.parse(presented.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_twins))  # type: ignore[arg-type]
    except SignatureError:
        raise
    except ValueError as error:  # StructuredFieldError and UnicodeEncodeError are
        raise SignatureError("It is no dictionary of structured fields.") from error


def _refuse_twins(name: str, where: str) -> None:
    # RFC 9651 lets the last one win, and the base that we would build from it is not the text that came.
    raise SignatureError(f"The {where} has {name} twice.")


def algorithm_of(key: PrivateKey | PublicKey | Any) -> str:
    """Return the one algorithm of the RFC 9421 registry that is accepted of ``key``, so that nobody can ask for a
    weaker one (section 7.3.6). Raises ``SignatureError`` for keys that have none.
    """
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name][0]
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return "ed25519"
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)) and key.key_size in _RSA_SIZES:
        return "rsa-pss-sha512"
    raise SignatureError("A key for signatures is of P-256, P-384, Ed25519, or RSA with 2048 to 4096 bits.")


def sign(base: bytes, key: PrivateKey) -> bytes:
    """Return the signature of ``base``. Raises ``SignatureError`` for a key that is not for signatures."""
    algorithm_of(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(base, _PSS, hashes.SHA512())
    _, digest, size = _CURVES[key.curve.name]
    r, s = utils.decode_dss_signature(key.sign(base, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def load_public_key(encoded: bytes) -> PublicKey:
    """Return the key in a SubjectPublicKeyInfo, PEM or DER. Raises ``SignatureError`` for one that is not for
    signatures.
    """
    try:
        key: Any = (load_pem_public_key if encoded.startswith(b"-----") else load_der_public_key)(encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"This is no public key: {error}") from error
    algorithm_of(key)
    return key  # type: ignore[no-any-return]


def is_signed_by(key: PublicKey, covered: Covered, signature: bytes, request: Request) -> bool:
    """Say whether the holder of ``key`` signed what is ``covered`` of ``request``. Raises ``SignatureError`` for what
    cannot be signed, and for another ``alg`` than the key's (section 3.2, step 6).
    """
    if covered.parameters.get("alg", algorithm_of(key)) != algorithm_of(key):
        raise SignatureError("alg is not the algorithm of this key.")
    return is_signed(signature_base(covered, request), signature, key)


def is_signed(base: bytes, signature: bytes, key: PublicKey) -> bool:
    """Say whether the holder of ``key`` signed ``base``. Raises ``SignatureError`` for a key that is not for
    signatures.
    """
    algorithm_of(key)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, base)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, base, _PSS, hashes.SHA512())
        else:
            _, digest, size = _CURVES[key.curve.name]
            if len(signature) != 2 * size:  # section 3.3.4: the numbers side by side, and no DER
                return False
            numbers = (int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
            key.verify(utils.encode_dss_signature(*numbers), base, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True
