"""The settings: ``SECURECORE = {...}`` in the project's settings module. No other module reads that dictionary.

Read a setting where it is used, for example ``conf.settings.REPLAY_WINDOW``; no code copies a value at import. The
whole dictionary is validated when Django starts. The error for an unknown name suggests the nearest known name, and the
error for a wrong type names the right type.

``django_settings`` are Django's own settings. Every module that needs them imports them from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from securecore.distinguished_names import HOW_TO_WRITE, is_rfc4514

#: The algorithms of a signing key. Each key has exactly one (RFC 8725 section 3.1; FAPI 2.0 drops RS256).
SIGNING_ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256", "HS256")

#: In ``TRUSTED_PROXIES``: the peer of a unix socket, in the spelling of nginx's ``set_real_ip_from``.
UNIX_SOCKET = "unix:"

#: The largest number of a setting: 68 years of seconds, or 2 GiB. The current instant plus this is still an instant.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """Every setting with its type and default, in the order of docs/settings.md: the first six, then by feature.

    Durations are seconds. A setting exists where a regulation or an architecture makes projects differ. A number that
    only tunes securecore is a constant, with its reason, in the module that uses the number.
    """

    # The first six: the proxy, and the token service.

    #: The proxies: "unix:" for the peer of a unix socket, and networks of proxies that connect over TCP. No proxy is
    #: trusted by default, so no request has a client certificate (RFC 9440 section 4 demands this). The file
    #: permissions of a unix socket alone decide which program can connect. A proxy over TCP must also send one of
    #: PROXY_SECRETS.
    TRUSTED_PROXIES: tuple[str, ...] = ()
    #: Accepted values of X-Proxy-Auth, newest first. Several values allow rotation.
    PROXY_SECRETS: tuple[str, ...] = ()
    #: The proxy that names the verified certificate: "nginx", "rfc9440", "envoy", "haproxy", "traefik", "caddy",
    #: "aws-alb", "aws-alb-passthrough", or "gunicorn" itself. The identity headers of other proxies are stripped.
    CERTIFICATE_SOURCE: str = "nginx"
    #: The issuer of the tokens: the URL of the service.
    TOKEN_ISSUER: str = ""
    #: The audience of the tokens: the name by which the service that accepts them is known, often the same URL.
    TOKEN_AUDIENCE: str = ""
    #: Keys {"kid", "alg", "private_key": PEM}. The first key signs while the database has no key, and all verify.
    TOKEN_SIGNING_KEYS: tuple[dict[str, str], ...] = ()

    # Database

    #: The alias of the database with securecore's tables. The effects must be in the same database.
    DATABASE: str = "default"
    #: The longest wait for a row or gate that another request holds.
    LOCK_TIMEOUT: float = 2.0
    #: Fernet keys, newest first. They encrypt stored responses, and the signing keys that ``securecore_keys rotate``
    #: stores. Without a key, responses are stored in the clear and no signing key is stored.
    ENCRYPTION_KEYS: tuple[str, ...] = ()

    # Identity

    #: Keys {"keyid", "public_key": PEM} of proxies that sign the identity headers (RFC 9440 section 4). With at least
    #: one key, an identity header without such a signature does not count. Over TCP the signature replaces a secret.
    PROXY_SIGNATURE_KEYS: tuple[dict[str, str], ...] = ()
    #: A PEM file with roots, and perhaps intermediate authorities for proxies that forward no chain, for example nginx.
    #: With the file the application verifies every chain again.
    CERTIFICATE_AUTHORITIES: str = ""
    #: Accepted issuers as RFC 4514 text, for a proxy that trusts more authorities than the application should.
    CERTIFICATE_ISSUERS: tuple[str, ...] = ()
    #: Accepted kinds of key: "P-256", "P-384", "P-521", "Ed25519", "Ed448", "RSA-3072" (3072 bits or more).
    CERTIFICATE_KEY_TYPES: tuple[str, ...] = ()
    #: Ways to enrol a certificate beside its thumbprint: by "public-key", and for one issuer by "san-uri", "san-email",
    #: "san-dns" or "subject". "self-signed": an unverified certificate that is enrolled as self-signed counts (RFC 8705
    #: section 2.2).
    CERTIFICATE_MATCHES: tuple[str, ...] = ()
    #: The most pending certificates: presented and verified, but not enrolled, they wait for an operator.
    PENDING_CERTIFICATES: int = 0

    # Sessions

    #: The longest inactivity. NIST SP 800-63B-4, AAL2: at most one hour.
    SESSION_IDLE_TIMEOUT: int = 3_600
    #: The longest time since the last login. NIST SP 800-63B-4, AAL2: at most a day.
    SESSION_ABSOLUTE_TIMEOUT: int = 86_400
    #: The binding of a new session: the certificate ("thumbprint"), or its key ("public-key"), which a renewed
    #: certificate may keep.
    SESSION_BINDING: str = "thumbprint"
    #: The most live sessions of a user. At one more the oldest session ends.
    SESSION_LIMIT: int = 50

    # Tokens

    #: Minutes, since a stolen token that nobody reports works until it expires (RFC 9700).
    ACCESS_TOKEN_LIFETIME: int = 300
    #: A refresh token expires when it is not used for this time.
    REFRESH_IDLE_TIMEOUT: int = 86_400
    #: A refresh-token family expires this time after the authorization, however often it is used.
    REFRESH_ABSOLUTE_TIMEOUT: int = 14 * 86_400
    #: Whether a DPoP proof must contain a nonce from the server (RFC 9449 section 8). Proofs that were made in advance
    #: are then refused.
    DPOP_NONCE_REQUIRED: bool = False

    # Replay

    #: The most that a request's timestamp may lie in the past or in the future.
    REPLAY_WINDOW: int = 60
    #: An alias in CACHES of a Redis that all hosts share, which then stores the seen nonces. If empty, the database
    #: stores them (Note [Guarantees of a replay cache] in replay/store.py).
    REPLAY_CACHE: str = ""

    # Grants

    #: Whether Django's own permissions, of users, groups and superusers, count as grants (``app_label.codename``).
    DJANGO_PERMISSIONS: bool = False
    #: The form of the gate: an advisory lock that checks share ("advisory", PostgreSQL only), or a row lock ("row").
    #: "auto" is "advisory" on PostgreSQL and "row" elsewhere.
    GATE: str = "auto"
    #: The time for which history is kept: an audit row, and a grant that was revoked or has ended. An audit row takes
    #: the value of the instant at which it was written.
    HISTORY_RETENTION: int = 400 * 86_400

    # Observe mode

    #: Protections that only observe, in every view: "permissions", "freshness", "idempotency-keys". A request that they
    #: would refuse is recorded and passes.
    OBSERVE: tuple[str, ...] = ()

    # The one query

    #: The time, in milliseconds, in which the result of the one query serves further requests of the same caller; 0:
    #: each request runs the query. Every revocation waits that long before it returns, so the value must be the same
    #: in all processes.
    LEASE_MS: int = 0


def load() -> Settings:
    """Return the validated settings. Raises ``ImproperlyConfigured``, with the fix in its text (securecore.E001)."""
    given = getattr(django_settings, "SECURECORE", {})
    if not isinstance(given, dict):
        raise _wrong("SECURECORE must be a dictionary of options.")
    known = {field.name: field for field in dataclasses.fields(Settings)}
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(str(name).upper(), known, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else f" Known options: {', '.join(known)}."
            raise _wrong(f"SECURECORE has no option {name!r}.{hint}")
    settings = Settings(**{name: _typed(known[name], value) for name, value in given.items()})
    _validate(settings)
    return settings


def _typed(field: dataclasses.Field[Any], value: Any) -> Any:
    wanted: type[Any] = type(field.default)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        # The error never contains the value, which may be a secret in the place of a list of secrets.
        name = "list" if wanted is tuple else wanted.__name__
        raise _wrong(f"SECURECORE[{field.name!r}] must be of type {name}, not {type(value).__name__}.")
    lowest_is_zero = field.name in ("LEASE_MS", "PENDING_CERTIFICATES") and value == 0
    if wanted in (int, float) and not (0 < value <= _LARGEST or lowest_is_zero):
        raise _wrong(f"SECURECORE[{field.name!r}] must be greater than zero and at most {_LARGEST}, not {value!r}.")
    return value


#: The accepted words of each setting that is one of a few words.
_CHOICES = {
    "CERTIFICATE_SOURCE": (
        "nginx",
        "rfc9440",
        "envoy",
        "haproxy",
        "traefik",
        "caddy",
        "aws-alb",
        "aws-alb-passthrough",
        "gunicorn",
    ),
    "SESSION_BINDING": ("thumbprint", "public-key"),
    "GATE": ("auto", "row", "advisory"),
}


#: The protections that can observe: see docs/observe.md for the others.
OBSERVABLE = ("permissions", "freshness", "idempotency-keys")


def _validate(settings: Settings) -> None:
    for name, words in _CHOICES.items():
        if getattr(settings, name) not in words:
            raise _wrong(f"SECURECORE[{name!r}] must be one of {', '.join(words)}.")
    for protection in settings.OBSERVE:
        if protection not in OBSERVABLE:
            raise _wrong(f"SECURECORE['OBSERVE'] has {protection!r}; known are {', '.join(OBSERVABLE)}.")
    _validate_proxies(settings)
    _validate_certificates(settings)
    _validate_signing_keys(settings)
    _validate_encryption_keys(settings)


def _validate_proxies(settings: Settings) -> None:
    networks = [item for item in settings.TRUSTED_PROXIES if item != UNIX_SOCKET]
    for network in networks:
        try:
            ipaddress.ip_network(str(network))  # without str(), an int would pass as an address
        except ValueError as error:
            raise _wrong(
                f"SECURECORE['TRUSTED_PROXIES'] has {network!r}, which is neither {UNIX_SOCKET!r} nor a network: "
                f"{error}."
            ) from None
    presented: Any
    for presented in settings.PROXY_SECRETS:
        if not isinstance(presented, str) or len(presented) < 32:
            raise _wrong("Each of SECURECORE['PROXY_SECRETS'] must be a string of at least 32 random characters.")
    _named_keys(settings, "PROXY_SIGNATURE_KEYS", "keyid", "public_key")
    if settings.PROXY_SIGNATURE_KEYS and settings.CERTIFICATE_SOURCE == "gunicorn":
        raise _wrong("SECURECORE['PROXY_SIGNATURE_KEYS'] has no effect where gunicorn ends TLS: there is no header.")
    if networks and not (settings.PROXY_SECRETS or settings.PROXY_SIGNATURE_KEYS):
        raise _wrong(
            "A network in SECURECORE['TRUSTED_PROXIES'] needs SECURECORE['PROXY_SECRETS']: an address alone does not "
            "prove that the proxy sent a header. Let the proxy send X-Proxy-Auth, or sign (PROXY_SIGNATURE_KEYS), or "
            "use a unix socket."
        )


#: The entry of ``CERTIFICATE_MATCHES`` that is no kind of match.
SELF_SIGNED = "self-signed"
_MATCHES = ("public-key", "san-uri", "san-email", "san-dns", "subject", SELF_SIGNED)
_KEY_TYPE = re.compile(r"P-256|P-384|P-521|Ed25519|Ed448|RSA-[1-9][0-9]{3,4}")


def _validate_certificates(settings: Settings) -> None:
    for mode in settings.CERTIFICATE_MATCHES:
        if mode not in _MATCHES:
            raise _wrong(f"SECURECORE['CERTIFICATE_MATCHES'] has {mode!r}; known are {', '.join(_MATCHES)}.")
    for name in settings.CERTIFICATE_ISSUERS:
        if not is_rfc4514(str(name)):
            raise _wrong(f"SECURECORE['CERTIFICATE_ISSUERS'] has {name!r}, which no issuer is named. {HOW_TO_WRITE}")
    for wanted in settings.CERTIFICATE_KEY_TYPES:
        if not _KEY_TYPE.fullmatch(str(wanted)):
            raise _wrong(
                f"SECURECORE['CERTIFICATE_KEY_TYPES'] has {wanted!r}; known are P-256, P-384, P-521, Ed25519, Ed448 "
                "and RSA- with the least number of bits."
            )
    if settings.CERTIFICATE_SOURCE == "aws-alb-passthrough" and not settings.CERTIFICATE_AUTHORITIES:
        raise _wrong(
            "SECURECORE['CERTIFICATE_SOURCE'] = 'aws-alb-passthrough' needs SECURECORE['CERTIFICATE_AUTHORITIES']: "
            "in this mode the load balancer verifies nothing."
        )


def _validate_signing_keys(settings: Settings) -> None:
    keys = _named_keys(settings, "TOKEN_SIGNING_KEYS", "kid", "alg", "private_key")
    for key in keys:
        if key["alg"] not in SIGNING_ALGORITHMS:
            raise _wrong(f"SECURECORE['TOKEN_SIGNING_KEYS'] has alg {key['alg']!r}; use one of {SIGNING_ALGORITHMS}.")
    if keys and not (settings.TOKEN_ISSUER and settings.TOKEN_AUDIENCE):
        raise _wrong("Signing keys in SECURECORE need TOKEN_ISSUER and TOKEN_AUDIENCE too (RFC 9068 section 2.2).")


def _named_keys(settings: Settings, name: str, *members: str) -> tuple[dict[str, str], ...]:
    """Return the keys in the setting ``name``: dictionaries of ``members``, the first of which names the key."""
    keys: tuple[Any, ...] = getattr(settings, name)
    quoted = f"{', '.join(map(repr, members[:-1]))} and {members[-1]!r}"
    for key in keys:
        if not isinstance(key, dict) or set(key) != set(members):
            raise _wrong(f"Each of SECURECORE[{name!r}] must have exactly {quoted}.")
        if not all(isinstance(value, str) for value in key.values()):
            raise _wrong(f"{quoted} in SECURECORE[{name!r}] must be strings.")
    if len({key[members[0]] for key in keys}) != len(keys):
        raise _wrong(f"SECURECORE[{name!r}] gives one {members[0]!r} to two keys.")
    return keys


def _validate_encryption_keys(settings: Settings) -> None:
    presented: Any
    for presented in settings.ENCRYPTION_KEYS:
        try:
            Fernet(presented.encode())
        except (AttributeError, ValueError):
            raise _wrong(
                "Each of SECURECORE['ENCRYPTION_KEYS'] must be a string made with "
                "cryptography.fernet.Fernet.generate_key()."
            ) from None


def _wrong(message: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"securecore.E001: {message}")


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "SECURECORE":
        vars(settings).clear()


setting_changed.connect(_forget)


class _Door:
    """``conf.settings``: loads the validated settings at the first use, and again after ``override_settings``."""

    def __getattr__(self, name: str) -> Any:
        # Python calls this only for a missing attribute. After the first call each setting is a plain attribute, since
        # a request reads some twenty of them.
        vars(self).update(vars(load()))
        return object.__getattribute__(self, name)


# mypy and readers see a ``Settings``; the class above only defers the loading.
settings: Settings = _Door()  # type: ignore[assignment]
