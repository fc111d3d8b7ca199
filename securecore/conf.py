"""The one door to settings: ``SECURECORE = {...}`` in the project's settings module.

Read them as ``conf.settings.REPLAY_WINDOW`` at the moment of use; nothing copies a value at import. The whole
dictionary is validated when Django starts: an unknown name is answered with the nearest known one, a wrong type with
the right one.
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

#: ``django_settings`` is Django's own, for the few places that need it: every import of it goes through this door.
__all__ = ["SIGNING_ALGORITHMS", "Settings", "django_settings", "load", "settings"]

#: The one list of algorithms a key may be fixed to (RFC 8725 section 3.1; FAPI 2.0 drops RS256).
SIGNING_ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256", "HS256")


#: The largest number of a setting: 68 years of seconds, 2 GiB. A sum of it and the current instant can be written.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """Every setting with its type and default. Durations are seconds, sizes are bytes.

    Nothing is believed by default: until ``TRUST_UNIX_SOCKET`` or ``TRUSTED_PROXIES`` is set no request has a client
    certificate (RFC 9440 section 4 asks for exactly this).
    """

    #: The peer of a unix socket is the proxy. Only the file permissions of the socket say who that is.
    TRUST_UNIX_SOCKET: bool = False
    #: Networks of proxies that connect over TCP. Each of them must also know one of PROXY_SECRETS.
    TRUSTED_PROXIES: tuple[str, ...] = ()
    #: Values of X-Proxy-Auth that are accepted, newest first; several, so that they can be rotated.
    PROXY_SECRETS: tuple[str, ...] = ()
    #: {"keyid", "public_key": PEM} each, of proxies that sign what they say (RFC 9440 section 4). With any, nothing is
    #: believed without such a signature; over TCP it stands in for a secret.
    PROXY_SIGNATURE_KEYS: tuple[dict[str, str], ...] = ()
    #: Whose words say which certificate was verified: "nginx", "rfc9440", "envoy", "haproxy", "traefik", "caddy",
    #: "aws-alb", "aws-alb-passthrough", or "gunicorn" itself. What the others would say is stripped.
    CERTIFICATE_SOURCE: str = "nginx"
    #: By what else than its thumbprint a certificate may be enrolled: "public-key", and of one issuer "san-uri",
    #: "san-email", "san-dns" and "subject".
    CERTIFICATE_MATCHES: tuple[str, ...] = ()
    #: PEM files. With roots the application verifies every chain once more; intermediates are for proxies that forward
    #: no chain, as nginx.
    CERTIFICATE_ROOTS: str = ""
    CERTIFICATE_INTERMEDIATES: str = ""
    #: Authorities between a client's certificate and its root; each more is one more that can name our users.
    CERTIFICATE_MAX_DEPTH: int = 2
    #: Issuers that are accepted, as RFC 4514 text; and kinds of key, such as "P-256", "Ed25519", "RSA-3072" and longer.
    CERTIFICATE_ISSUERS: tuple[str, ...] = ()
    CERTIFICATE_KEY_TYPES: tuple[str, ...] = ()
    #: How many certificates that nobody enrolled wait, once they were presented, for an operator to admit them.
    PENDING_CERTIFICATES: int = 0
    #: A PEM certificate of 4096-bit RSA with a few names is 3 KiB; beyond this the answer is 431.
    CERTIFICATE_MAX_BYTES: int = 16_384
    #: Parsed certificates kept by each process. Parsing costs about 60 us, an entry about 6 KiB.
    CERTIFICATE_CACHE_SIZE: int = 1024
    #: Access tokens of which each process remembers that their signature was good. Verifying costs about 100 us.
    TOKEN_CACHE_SIZE: int = 1024
    #: Nothing stays longer than this in the caches of certificates, of tokens and of keys.
    CACHE_SECONDS: int = 300
    #: Certificates are forgotten this long after they expired, revoked or not.
    CERTIFICATE_RETENTION: int = 90 * 86_400

    #: NIST SP 800-63B-4, AAL2: inactivity at most one hour, a day in all.
    SESSION_IDLE_TIMEOUT: int = 3_600
    SESSION_ABSOLUTE_TIMEOUT: int = 86_400
    #: What a new session is bound to: the certificate ("thumbprint"), or its key ("public-key"), which a renewed
    #: certificate may keep.
    SESSION_BINDING: str = "thumbprint"
    #: A session presented by somebody else: "refuse" and leave it to its owner, or "end" it.
    SESSION_MISMATCH: str = "refuse"
    #: Live sessions a user may have, and what happens at one more: "evict" the oldest or "refuse" the login.
    SESSION_LIMIT: int = 50
    SESSION_LIMIT_REACHED: str = "evict"
    #: What a session keeps when somebody logs in to it; "*" is everything, as Django has it.
    SESSION_KEYS_KEPT_AT_LOGIN: tuple[str, ...] = ("*",)

    TOKEN_ISSUER: str = ""
    TOKEN_AUDIENCE: str = ""
    #: {"kid", "alg", "private_key": PEM} each; the first signs, all verify.
    TOKEN_SIGNING_KEYS: tuple[dict[str, str], ...] = ()
    ACCESS_TOKEN_LIFETIME: int = 300
    #: Fernet keys, newest first, under which signing keys in the database are encrypted.
    KEY_ENCRYPTION_KEYS: tuple[str, ...] = ()
    #: A refresh token that is not used for this long is dead; its family is, however often it is used, after the other.
    REFRESH_IDLE_TIMEOUT: int = 86_400
    REFRESH_ABSOLUTE_TIMEOUT: int = 14 * 86_400
    #: A client that lost the answer to a refresh may ask again for this long (Note [Refresh retry]).
    REFRESH_RETRY_WINDOW: int = 30
    #: Whether a DPoP proof must hold a nonce of ours (RFC 9449 section 8): proofs made in advance are worthless then.
    DPOP_NONCE_REQUIRED: bool = False
    #: Whether an unverified certificate is good if it is enrolled as self-signed (RFC 8705 section 2.2).
    SELF_SIGNED_CERTIFICATES: bool = False

    #: djangorestframework-simplejwt's SIGNING_KEY or VERIFYING_KEY, ALGORITHM and USER_ID_CLAIM, while moving from it.
    SIMPLEJWT_VERIFYING_KEY: str = ""
    SIMPLEJWT_ALGORITHM: str = "HS256"
    SIMPLEJWT_USER_ID_CLAIM: str = "user_id"

    #: How far two honest clocks may differ, used for every comparison with a clock that is not ours. FAPI 2.0 wants 10.
    CLOCK_SKEW: int = 10
    #: How far a request's timestamp may lie in the past or in the future.
    REPLAY_WINDOW: int = 60
    #: An alias in CACHES, of a Redis that all hosts share, to remember there what was seen; the database if empty
    #: (Note [Guarantees of a replay cache] in replay/store.py).
    REPLAY_CACHE: str = ""

    #: How long a stored response is replayed. A day outlives every retry loop that gives up at all.
    IDEMPOTENCY_RETENTION: int = 86_400
    #: The largest response body that is stored.
    IDEMPOTENCY_MAX_BODY: int = 65_536
    #: Fernet keys, newest first, under which stored responses are encrypted; in the clear without any.
    IDEMPOTENCY_ENCRYPTION_KEYS: tuple[str, ...] = ()

    #: What a check locks: on PostgreSQL an advisory lock that checks share ("advisory"), elsewhere a row ("row").
    GATE: str = "auto"
    #: Whether Django's own permissions, of users, groups and superusers, count as grants (``app_label.codename``).
    DJANGO_PERMISSIONS: bool = False
    #: The longest wait for a row or gate that another request holds.
    LOCK_TIMEOUT: float = 2.0
    #: The longest pause between two statements of a transaction that holds a gate; then PostgreSQL ends its session.
    GATE_IDLE_TIMEOUT: float = 10.0
    #: Revoked grants are history; they are kept this long.
    GRANT_RETENTION: int = 400 * 86_400

    #: For how long what was read for one request may serve others of the same caller; 0: each request reads. Every
    #: revocation waits as long before it returns, so it must be the same in all processes.
    LEASE_MS: int = 0
    #: Callers of whom each process keeps what it asks the database about them, and the last answer.
    CALLER_CACHE_SIZE: int = 1024

    #: The database that holds securecore's tables: the one where the effects happen.
    DATABASE: str = "default"


def load() -> Settings:
    """Return the validated settings. Raises ``ImproperlyConfigured`` with the fix (securecore.E001)."""
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
        # Never the value: it may be a secret that was put where a list of secrets belongs.
        name = "list" if wanted is tuple else wanted.__name__
        raise _wrong(f"SECURECORE[{field.name!r}] must be of type {name}, not {type(value).__name__}.")
    lowest_is_zero = field.name in ("CLOCK_SKEW", "LEASE_MS", "PENDING_CERTIFICATES") and value == 0
    if wanted in (int, float) and not (0 < value <= _LARGEST or lowest_is_zero):
        raise _wrong(f"SECURECORE[{field.name!r}] must be greater than zero and at most {_LARGEST}, not {value!r}.")
    return value


#: Settings that are one of a few words.
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
    "SESSION_MISMATCH": ("refuse", "end"),
    "SESSION_LIMIT_REACHED": ("evict", "refuse"),
    "GATE": ("auto", "row", "advisory"),
}


def _validate(settings: Settings) -> None:
    for name, words in _CHOICES.items():
        if getattr(settings, name) not in words:
            raise _wrong(f"SECURECORE[{name!r}] must be one of {', '.join(words)}.")
    _validate_proxies(settings)
    _validate_certificates(settings)
    _validate_signing_keys(settings)
    _validate_encryption_keys(settings)


def _validate_proxies(settings: Settings) -> None:
    for network in settings.TRUSTED_PROXIES:
        try:
            ipaddress.ip_network(str(network))  # of a number it would make some address
        except ValueError as error:
            raise _wrong(f"SECURECORE['TRUSTED_PROXIES'] has {network!r}, which is no network: {error}.") from None
    presented: Any
    for presented in settings.PROXY_SECRETS:
        if not isinstance(presented, str) or len(presented) < 32:
            raise _wrong("Each of SECURECORE['PROXY_SECRETS'] must be a string of at least 32 random characters.")
    _named_keys(settings, "PROXY_SIGNATURE_KEYS", "keyid", "public_key")
    if settings.PROXY_SIGNATURE_KEYS and settings.CERTIFICATE_SOURCE == "gunicorn":
        raise _wrong("SECURECORE['PROXY_SIGNATURE_KEYS'] means nothing where gunicorn ends TLS: there is no header.")
    if settings.TRUSTED_PROXIES and not (settings.PROXY_SECRETS or settings.PROXY_SIGNATURE_KEYS):
        raise _wrong(
            "SECURECORE['TRUSTED_PROXIES'] needs SECURECORE['PROXY_SECRETS']: an address alone proves nothing about "
            "who sent a header. Let the proxy send X-Proxy-Auth, or sign (PROXY_SIGNATURE_KEYS), or use a unix socket."
        )


_MATCHES = ("public-key", "san-uri", "san-email", "san-dns", "subject")
_KEY_TYPE = re.compile(r"P-256|P-384|P-521|Ed25519|Ed448|RSA-[1-9][0-9]{3,4}")


def _validate_certificates(settings: Settings) -> None:
    for mode in settings.CERTIFICATE_MATCHES:
        if mode not in _MATCHES:
            raise _wrong(f"SECURECORE['CERTIFICATE_MATCHES'] has {mode!r}; known are {', '.join(_MATCHES)}.")
    for wanted in settings.CERTIFICATE_KEY_TYPES:
        if not _KEY_TYPE.fullmatch(str(wanted)):
            raise _wrong(
                f"SECURECORE['CERTIFICATE_KEY_TYPES'] has {wanted!r}; known are P-256, P-384, P-521, Ed25519, Ed448 "
                "and RSA- with the least number of bits."
            )
    if settings.CERTIFICATE_SOURCE == "aws-alb-passthrough" and not settings.CERTIFICATE_ROOTS:
        raise _wrong(
            "SECURECORE['CERTIFICATE_SOURCE'] = 'aws-alb-passthrough' needs SECURECORE['CERTIFICATE_ROOTS']: in this "
            "mode the load balancer verifies nothing."
        )
    if settings.CERTIFICATE_INTERMEDIATES and not settings.CERTIFICATE_ROOTS:
        raise _wrong("SECURECORE['CERTIFICATE_INTERMEDIATES'] means nothing without SECURECORE['CERTIFICATE_ROOTS'].")


def _validate_signing_keys(settings: Settings) -> None:
    keys = _named_keys(settings, "TOKEN_SIGNING_KEYS", "kid", "alg", "private_key")
    for key in keys:
        if key["alg"] not in SIGNING_ALGORITHMS:
            raise _wrong(f"SECURECORE['TOKEN_SIGNING_KEYS'] has alg {key['alg']!r}; use one of {SIGNING_ALGORITHMS}.")
    if (keys or settings.KEY_ENCRYPTION_KEYS) and not (settings.TOKEN_ISSUER and settings.TOKEN_AUDIENCE):
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
    for name in ("KEY_ENCRYPTION_KEYS", "IDEMPOTENCY_ENCRYPTION_KEYS"):
        for presented in getattr(settings, name):
            try:
                Fernet(presented.encode())
            except (AttributeError, ValueError):
                raise _wrong(
                    f"Each of SECURECORE[{name!r}] must be a string made with "
                    f"cryptography.fernet.Fernet.generate_key()."
                ) from None


def _wrong(message: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"securecore.E001: {message}")


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "SECURECORE":
        vars(settings).clear()


setting_changed.connect(_forget)


class _Door:
    """``conf.settings``: reads through to the validated settings, and follows ``override_settings``."""

    def __getattr__(self, name: str) -> Any:
        # Asked for once: from then on they are attributes as any other, which a request reads some twenty of.
        vars(self).update(vars(load()))
        return object.__getattribute__(self, name)


# To a reader and to mypy this is a Settings; the door only defers the reading.
settings: Settings = _Door()  # type: ignore[assignment]
