"""HTTP Message Signatures (RFC 9421): build the signature base, sign it and verify it with each type of key.

``securecore_client.proofs`` signs requests. ``securecore.replay`` verifies the signatures of clients, and
``securecore.http`` those of the proxy. All three use this one signature base. ``http_sf`` parses and writes structured
fields. The rules for nonces and required components are in ``securecore.replay``.
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

#: For each accepted curve: its algorithm in the registry, its hash, and the bytes of one coordinate (sections 3.3.4 and
#: 3.3.5).
_CURVES: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("ecdsa-p256-sha256", hashes.SHA256(), 32),
    "secp384r1": ("ecdsa-p384-sha384", hashes.SHA384(), 48),
}
#: Section 3.3.1: SHA-512 for the hash and for MGF1, and a salt of 64 bytes.
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
#: Key sizes in bits. A shorter key is weak (RFC 8725 section 3.5). A longer key would let a client choose how much
#: processor time a verification costs.
_RSA_SIZES = range(2048, 4097)
_DEFAULT_PORTS = {"http": 80, "https": 443}

#: The known parameters of a signature, with their types (section 2.3).
_PARAMETERS = {"created": int, "expires": int, "nonce": str, "keyid": str, "alg": str, "tag": str}
#: The limits of ``Signature-Input`` and of ``Signature`` in characters, and of the components of one signature, since
#: parsing costs time. A signature of ``MessageSignature`` needs a third of each.
_LONGEST_INPUT = 4096
_LONGEST_SIGNATURE = 8192
_MOST_COMPONENTS = 32
#: The last second of the year 9999, the largest ``datetime``. No larger integer reaches the arithmetic.
_LAST_SECOND = 253_402_300_799


class SignatureError(ValueError):
    """A signature cannot be created or read; the message gives the reason."""


class SignatureOutdated(SignatureError):
    """A signature was created too long ago or in the future, or has expired."""


@dataclass(frozen=True)
class Covered:
    """The covered components and the parameters of one signature: a member of ``Signature-Input`` (section 4.1)."""

    label: str
    #: Component identifiers: a name, and the parameters of that component.
    components: tuple[tuple[str, dict[str, Any]], ...]
    #: ``created``, ``expires``, ``nonce``, ``alg``, ``keyid`` and ``tag``, in the order of the field.
    parameters: dict[str, Any]

    def __str__(self) -> str:
        """Return the value of ``Signature-Input`` with this member alone."""
        return _serialized({self.label: (list(self.components), self.parameters)})

    @property
    def whole(self) -> set[str]:
        """The names of the components without parameters, which are covered as a whole.

        A component with parameters covers less. For example ``@query-param`` with one name does not cover the query.
        """
        return {name for name, parameters in self.components if not parameters}

    def check_parameters(self) -> None:
        """Raise ``SignatureError`` for a parameter that is unknown or of the wrong type, and for impossible dates."""
        for name, value in self.parameters.items():
            # Compare the exact type: for isinstance a bool is an int. Refuse unknown parameters, because one might
            # restrict the meaning of the signature.
            if type(value) is not _PARAMETERS.get(name):
                raise SignatureError("A signature parameter is unknown or of the wrong type.")
        if not 0 <= self.parameters.get("created", 0) < self.parameters.get("expires", _LAST_SECOND) <= _LAST_SECOND:
            raise SignatureError("A signature must expire after it was created.")

    def check_dates(self, now: float, *, window: int, skew: int) -> None:
        """Raise ``SignatureOutdated`` unless the signature is recent and has not expired.

        A recent signature was created within ``window`` seconds before ``now`` (Unix time). Clocks may differ by
        ``skew`` seconds. Call ``check_parameters`` first, and only with a ``created`` parameter.
        """
        if not -skew <= now - self.parameters["created"] <= window:
            raise SignatureOutdated(f"The signature must be created within {window} seconds of the server's clock.")
        if now > self.parameters.get("expires", _LAST_SECOND) + skew:
            raise SignatureOutdated("The signature has expired.")


@dataclass(frozen=True)
class Request:
    """The signed request.

    ``fields`` has lower-case names. Several lines with one name are joined by ``", "`` (section 2.1).
    """

    method: str
    #: The absolute target URI, as the client sent it (RFC 9110 section 7.1).
    url: str
    fields: Mapping[str, str]

    def component(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Return the value of a component. Raises ``SignatureError`` if it is missing or not supported."""
        if name == "@query-param" and set(parameters) == {"name"}:
            return self._query_parameter(parameters["name"])
        if parameters:
            raise SignatureError(f"{name} with these parameters is not supported.")
        if name.startswith("@"):  # section 7.5.4: never read a derived component from a header with the same name
            return self._derived(name)
        if name != name.lower():
            raise SignatureError("Field names are lower case.")  # section 2.1
        if name not in self.fields:
            raise SignatureError(f"The signature covers {name}, but the request has no such field.")
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

    def _query_parameter(self, name: Any) -> str:
        """Return the value of a query parameter, decoded as a form and encoded again (section 2.2.8).

        Raises ``SignatureError`` for a name that occurs twice, which cannot be signed.
        """
        values = self._query_parameters.get(name, []) if isinstance(name, str) else []
        if len(values) != 1:
            raise SignatureError("@query-param must name one parameter that occurs once.")
        return values[0]

    @cached_property
    def _query_parameters(self) -> dict[str, list[str]]:
        """The parameters of the query by their encoded names.

        The query is parsed once for all components. Parsing it for each component took 0.12 s for a bad signature with
        32 components over 900 parameters.
        """
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True):
            parameters.setdefault(quote(name, safe="*"), []).append(quote(value, safe="*"))
        return parameters


def _authority(url: str) -> str:
    """Return the authority of ``url`` in lower case and without a default port (section 2.2.3)."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    default = f":{_DEFAULT_PORTS.get(parts.scheme.lower())}"
    return host.removesuffix(default)


def signature_base(covered: Covered, request: Request) -> bytes:
    """Return the signature base (section 2.5). Raises ``SignatureError`` for components that cannot be signed."""
    lines = {}
    for name, parameters in covered.components:
        identifier = _serialized((name, parameters))
        if identifier in lines or name == "@signature-params":
            raise SignatureError(f"{identifier} is covered twice, or must not be covered.")
        lines[identifier] = request.component(name, parameters)
    _, _, lines['"@signature-params"'] = str(covered).partition("=")
    if any("\n" in value or "\r" in value for value in lines.values()):
        raise SignatureError("A value has a line break.")  # it would add a line to the signature base
    try:
        return "\n".join(f"{identifier}: {value}" for identifier, value in lines.items()).encode("ascii")
    except UnicodeEncodeError as error:
        raise SignatureError("A value is not ASCII.") from error


def _serialized(structure: Any) -> str:
    try:
        return http_sf.ser(structure)
    except ValueError as error:
        raise SignatureError("The value cannot be written as a structured field.") from error


def read(signature_input: str, signature: str) -> tuple[Covered, bytes]:
    """Return the one signature in the presented fields ``Signature-Input`` and ``Signature`` (sections 4.1 and 4.2).

    Raises ``SignatureError``, also for several signatures: the server cannot know which one is the caller's
    (section 7.2.5).
    """
    members = read_all(signature_input, signature)
    if len(members) != 1:
        raise SignatureError("There must be exactly one signature, under one label in both fields.")
    return members[0]


def read_all(signature_input: str, signature: str) -> list[tuple[Covered, bytes]]:
    """Return all signatures in the presented fields. Raises ``SignatureError`` if a signature cannot be parsed."""
    if len(signature_input) > _LONGEST_INPUT or len(signature) > _LONGEST_SIGNATURE:
        raise SignatureError("Signature-Input or Signature is too long.")
    inputs, signatures = _dictionary(signature_input), _dictionary(signature)
    if inputs.keys() != signatures.keys():
        raise SignatureError("There must be exactly one signature, under one label in both fields.")
    return [(_covered(label, *inputs[label]), _bytes(signatures[label][0])) for label in inputs]


def write_all(members: list[tuple[Covered, bytes]]) -> tuple[str, str]:
    """Return the fields ``Signature-Input`` and ``Signature`` with these members; empty strings without members."""
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
    except ValueError as error:  # the base class of StructuredFieldError and UnicodeEncodeError
        raise SignatureError("The field is no dictionary of structured fields.") from error


def _refuse_twins(name: str, where: str) -> None:
    # By RFC 9651 the last of two members with one name wins. The signature base would then differ from the sent text.
    raise SignatureError(f"The {where} has {name} twice.")


def algorithm_of(key: PrivateKey | PublicKey | Any) -> str:
    """Return the one algorithm of the RFC 9421 registry that is accepted for ``key``.

    The key decides the algorithm, so that a client cannot choose a weaker one (section 7.3.6). Raises
    ``SignatureError`` for a key without an accepted algorithm.
    """
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name][0]
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return "ed25519"
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)) and key.key_size in _RSA_SIZES:
        return "rsa-pss-sha512"
    raise SignatureError("A key for signatures is of P-256, P-384, Ed25519, or RSA with 2048 to 4096 bits.")


def sign(base: bytes, key: PrivateKey) -> bytes:
    """Return the signature of ``base``. Raises ``SignatureError`` for a key without an accepted algorithm."""
    algorithm_of(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(base, _PSS, hashes.SHA512())
    _, digest, size = _CURVES[key.curve.name]
    r, s = utils.decode_dss_signature(key.sign(base, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def load_public_key(encoded: bytes) -> PublicKey:
    """Return the key in a SubjectPublicKeyInfo, PEM or DER.

    Raises ``SignatureError`` for a key without an accepted algorithm.
    """
    try:
        key: Any = (load_pem_public_key if encoded.startswith(b"-----") else load_der_public_key)(encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"The text is no public key: {error}") from error
    algorithm_of(key)
    return key  # type: ignore[no-any-return]


def is_signed_by(key: PublicKey, covered: Covered, signature: bytes, request: Request) -> bool:
    """Return whether ``signature`` is a signature by ``key`` over the ``covered`` components of ``request``.

    Raises ``SignatureError`` for components that cannot be signed, and for another ``alg`` than the key's (section 3.2,
    step 6).
    """
    if covered.parameters.get("alg", algorithm_of(key)) != algorithm_of(key):
        raise SignatureError("alg is not the algorithm of this key.")
    return is_signed(signature_base(covered, request), signature, key)


def is_signed(base: bytes, signature: bytes, key: PublicKey) -> bool:
    """Return whether ``signature`` is a signature by ``key`` over ``base``.

    Raises ``SignatureError`` for a key without an accepted algorithm.
    """
    algorithm_of(key)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, base)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, base, _PSS, hashes.SHA512())
        else:
            _, digest, size = _CURVES[key.curve.name]
            if len(signature) != 2 * size:  # section 3.3.4: r and s concatenated, not DER
                return False
            numbers = (int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
            key.verify(utils.encode_dss_signature(*numbers), base, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True
