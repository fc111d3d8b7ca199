"""TLS of the port: versions, ciphers, certificates and resumed sessions."""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from securecore_scan.checks import Check, Severity
from securecore_scan.client import key_exchange, resumption, sessions, tls
from securecore_scan.client.certificates import CertificateIssuer
from securecore_scan.client.request import Request
from securecore_scan.client.responses import is_refused, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, inconclusive, outcome_of

#: Reasons with which the scanner's own TLS library, and not the server, ends a handshake.
_LOCAL = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "UNSUPPORTED_PROTOCOL_VERSION", "NO_CIPHER_MATCH")
_WEAK = "aNULL:eNULL:EXPORT:LOW:3DES:RC4:MD5:SEED:IDEA:kRSA:@SECLEVEL=0"
#: Days: a certificate that expires sooner fails the check.
_SOON = 7


def old_versions(target: Target) -> Iterator[Outcome]:
    """Offer TLS 1.0 alone, then TLS 1.1 alone. Works if the server accepts one."""
    target.once(_speaks_tls)
    tried = {
        version.name: tls.handshake(target.transport, tls.permissive_context(version))
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    }
    if all(found.refusal in _LOCAL for found in tried.values()):
        yield inconclusive(target.transport.origin, "this machine's own TLS library offers neither TLS 1.0 nor 1.1")
        return
    agreed = [name for name, found in tried.items() if found.succeeded]
    yield outcome_of(
        bool(agreed), target.transport.origin, f"accepted: {', '.join(agreed) or 'neither TLS 1.0 nor 1.1'}"
    )


def weak_ciphers(target: Target) -> Iterator[Outcome]:
    """Offer only ciphers without forward secrecy, authentication or strength. Works if the server accepts one."""
    target.once(_speaks_tls)
    found = tls.handshake(target.transport, tls.permissive_context(ssl.TLSVersion.TLSv1_2, _WEAK))
    if found.refusal in _LOCAL:
        yield inconclusive(target.transport.origin, "this machine's own TLS library offers no weak cipher")
        return
    yield outcome_of(found.succeeded, target.transport.origin, f"accepted {found.cipher or 'no weak cipher'}")


def server_certificate(target: Target) -> Iterator[Outcome]:
    """Read the server's certificate. Fails if it is not trusted for this name, expires soon, or has a short RSA key."""
    _require_tls(target)
    found = tls.server_certificate(target.transport)
    if found is None:
        raise Inconclusive("no handshake succeeded, so there is no certificate to read")
    trusted = tls.handshake(target.transport, target.transport.context(target.transport.identity("owner")))
    days = (found.not_valid_after_utc - dt.datetime.now(dt.UTC)).days
    key = found.public_key()
    short = isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048
    wrong = [
        *([f"not trusted ({trusted.refusal})"] if not trusted.succeeded else []),
        *([f"expires in {days} days"] if days < _SOON else []),
        *(["a short RSA key"] if short else []),
    ]
    yield outcome_of(
        bool(wrong),
        target.transport.origin,
        ", ".join(wrong) or f"trusted, valid for {days} days, {type(key).__name__}",
    )


def resumed_session(target: Target) -> Iterator[Outcome]:
    """Resume a TLS session. Works if the server agrees: a resumed session skips the check of the client certificate."""
    _require_tls(target)
    tried = {name: _resumes(target, ssl.TLSVersion[name]) for name in ("TLSv1_2", "TLSv1_3")}
    if all(resumes is None for resumes in tried.values()):
        raise Inconclusive("no connection was answered, so none could be resumed")
    resumed = [name for name, resumes in tried.items() if resumes]
    yield outcome_of(
        bool(resumed), target.transport.origin, f"resumed: {', '.join(resumed) or 'neither TLS 1.2 nor 1.3'}"
    )


def self_signed_client(target: Target) -> Iterator[Outcome]:
    """Present a self-signed certificate with the owner's name. Works if the service names the owner as the caller."""
    _require_tls(target)
    owner = sessions.user_name(target, {})
    with tempfile.TemporaryDirectory(prefix="securecore-scan-") as folder:
        identity = CertificateIssuer(Path(folder)).issue(target.name("owner") or "unknown")
        try:
            answer = target.transport.visit(identity, Request("GET", sessions.whoami_path(target)))
        except httpx.HTTPError as error:
            yield outcome_of(False, target.transport.origin, f"no connection: {type(error).__name__}")
            return
    believed = not is_refused(answer) and sessions.user_in(target, answer) == owner
    yield outcome_of(
        believed, target.transport.origin, f"a self-signed certificate with the owner's name: {status_text(answer)}"
    )


def post_quantum(target: Target) -> Iterator[Outcome]:
    """Ask for each hybrid group with ML-KEM. Fails if the port agrees to none, which is information and no finding."""
    _require_tls(target)
    if not any(key_exchange.agrees(target.transport, group) for group in key_exchange.CLASSICAL.values()):
        raise Inconclusive("the port agrees to no usual group without a key share either, or lacks TLS 1.3")
    agreed = [name for name, group in key_exchange.POST_QUANTUM.items() if key_exchange.agrees(target.transport, group)]
    yield outcome_of(not agreed, target.transport.origin, f"agreed: {', '.join(agreed) or 'no post-quantum group'}")


def _require_tls(target: Target) -> None:
    if not target.transport.is_tls:
        raise NotApplicable("plain http has no TLS")


def _speaks_tls(target: Target) -> None:
    """Make one ordinary handshake: a port that speaks no TLS refuses every version and cipher."""
    _require_tls(target)
    found = tls.handshake(target.transport, tls.any_server_context(target.transport))
    if not found.succeeded:
        raise Inconclusive(f"the port completes no TLS handshake: {found.refusal}")


def _resumes(target: Target, version: ssl.TLSVersion) -> bool | None:
    """Say whether a second connection resumes the session of the first. None: the first one was not answered."""
    context = target.transport.context(target.transport.identity("owner"))
    context.minimum_version = context.maximum_version = version
    try:
        first = resumption.exchange(target.transport, context, "/", method="HEAD")
    except OSError:
        return None
    try:
        return resumption.exchange(target.transport, context, "/", method="HEAD", session=first.session).resumed
    except OSError:
        return False


_check = partial(Check, category="tls", owasp="API8:2023", securecore="nginx/tls.conf")
CHECKS = (
    _check(
        "SC-TLS-1",
        "Old TLS versions",
        severity=Severity.MEDIUM,
        cwe=(326,),
        asvs=("12.1.1",),
        risk="Published attacks read or change their traffic.",
        remedy="Offer TLS 1.2 and 1.3 only.",
        run=old_versions,
    ),
    _check(
        "SC-TLS-2",
        "Weak ciphers",
        severity=Severity.MEDIUM,
        cwe=(327,),
        asvs=("12.1.2",),
        risk="An attacker records traffic now and decrypts it when he learns the key.",
        remedy="Offer ciphers with ephemeral keys and authenticated encryption only.",
        run=weak_ciphers,
    ),
    _check(
        "SC-TLS-3",
        "Certificate of the server",
        severity=Severity.MEDIUM,
        cwe=(295,),
        asvs=("12.3.2",),
        risk="Clients get used to disabling verification.",
        remedy="Renew the certificate in time, for the host name that clients use.",
        run=server_certificate,
    ),
    _check(
        "SC-TLS-4",
        "Resumed TLS sessions",
        severity=Severity.LOW,
        cwe=(613, 299),
        asvs=("12.1.4",),
        risk="A resumed session is not verified again, so a revoked certificate still works.",
        remedy="Turn off the session cache and session tickets on ports that identify clients by certificate.",
        run=resumed_session,
    ),
    _check(
        "SC-TLS-5",
        "Self-signed client certificate",
        severity=Severity.CRITICAL,
        cwe=(295,),
        asvs=("12.1.3",),
        risk="An attacker signs a certificate with any name he likes.",
        remedy="Verify client certificates against your own authority, and refuse any result but success.",
        run=self_signed_client,
    ),
    _check(
        "SC-TLS-6",
        "Post-quantum key exchange",
        severity=Severity.INFO,
        cwe=(327,),
        asvs=("11.2.2",),
        risk="An attacker records traffic today, and may decrypt it with a quantum computer later.",
        remedy="Offer X25519MLKEM768 before X25519 (OpenSSL 3.5 or newer).",
        run=post_quantum,
    ),
)
