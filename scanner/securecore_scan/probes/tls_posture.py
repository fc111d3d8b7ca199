"""The port itself: what it agrees to, and what it remembers."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from securecore_scan.client import sessions, tls
from securecore_scan.client.minting import Mint
from securecore_scan.client.target import Target, described, refused
from securecore_scan.client.wire import Request
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged, unclear

#: Reasons by which our own library, not the server, ends a handshake.
_OURS = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "UNSUPPORTED_PROTOCOL_VERSION", "NO_CIPHER_MATCH")
_WEAK = "aNULL:eNULL:EXPORT:LOW:3DES:RC4:MD5:SEED:IDEA:kRSA:@SECLEVEL=0"
#: Days.
_SOON = 7


def old_versions(target: Target) -> Iterator[Seen]:
    """Offer TLS 1.0 and 1.1 alone. Works if one is agreed to."""
    tried = {
        version.name: tls.shake(target.wire, tls.lenient(version))
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
        if _is_tls(target)
    }
    if all(found.refusal in _OURS for found in tried.values()):
        yield unclear(target.wire.origin, "this machine's own TLS library offers neither TLS 1.0 nor 1.1")
        return
    agreed = [name for name, found in tried.items() if found.succeeded]
    yield judged(bool(agreed), target.wire.origin, f"agreed to: {', '.join(agreed) or 'neither TLS 1.0 nor 1.1'}")


def weak_ciphers(target: Target) -> Iterator[Seen]:
    """Offer only ciphers without forward secrecy, authentication or strength. Works if one is agreed to."""
    _is_tls(target)
    found = tls.shake(target.wire, tls.lenient(ssl.TLSVersion.TLSv1_2, _WEAK))
    if found.refusal in _OURS:
        yield unclear(target.wire.origin, "this machine's own TLS library offers no weak cipher")
        return
    yield judged(found.succeeded, target.wire.origin, f"agreed to {found.cipher or 'no weak cipher'}")


def certificate(target: Target) -> Iterator[Seen]:
    """Read the server's certificate: believed, for this name, not about to end, with a strong key."""
    _is_tls(target)
    found = tls.server_certificate(target.wire)
    if found is None:
        raise NotJudged("no handshake, no certificate")
    believed = tls.shake(target.wire, target.wire.context(target.wire.identity("owner")))
    days = (found.not_valid_after_utc - dt.datetime.now(dt.UTC)).days
    key = found.public_key()
    short = isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048
    wrong = [
        *([f"not believed ({believed.refusal})"] if not believed.succeeded else []),
        *([f"ends in {days} days"] if days < _SOON else []),
        *(["a short RSA key"] if short else []),
    ]
    yield judged(
        bool(wrong), target.wire.origin, ", ".join(wrong) or f"believed, for {days} days, {type(key).__name__}"
    )


def resumption(target: Target) -> Iterator[Seen]:
    """Resume a session. Works if the server does: it then believes a certificate that was revoked since."""
    _is_tls(target)
    resumed = [name for name in ("TLSv1_2", "TLSv1_3") if _resumes(target, ssl.TLSVersion[name])]
    yield judged(bool(resumed), target.wire.origin, f"resumed: {', '.join(resumed) or 'neither TLS 1.2 nor 1.3'}")


def a_stranger(target: Target) -> Iterator[Seen]:
    """Show a certificate that the caller signed himself, in the owner's name. Works if he is taken for her."""
    _is_tls(target)
    me = sessions.user_with(target, {})
    with tempfile.TemporaryDirectory(prefix="securecore-scan-") as folder:
        identity = Mint(Path(folder)).mint(target.name("owner") or "stranger")
        try:
            answer = target.wire.visit(identity, Request("GET", sessions.read_at(target)))
        except httpx.HTTPError as error:
            yield judged(False, target.wire.origin, f"no connection: {type(error).__name__}")
            return
    believed = not refused(answer) and sessions.user_of(target, answer) == me
    yield judged(believed, target.wire.origin, f"a self-signed certificate in her name: {described(answer)}")


def _is_tls(target: Target) -> bool:
    if not target.wire.is_tls:
        raise Skipped("plain http")
    return True


def _resumes(target: Target, version: ssl.TLSVersion) -> bool:
    context = target.wire.context(target.wire.identity("owner"))
    context.minimum_version = context.maximum_version = version
    try:
        _, session = _connection(target, context, None)
        reused, _ = _connection(target, context, session)
    except OSError:
        return False
    return reused


def _connection(
    target: Target, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession | None]:
    host, port = target.wire.address
    target.wire.budget.spend()
    with (
        socket.create_connection((host, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host, session=session) as connection,
    ):
        # In TLS 1.3 the ticket comes with the first answer.
        connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        connection.recv(4096)
        return bool(connection.session_reused), connection.session


_check = partial(Check, category="tls", owasp="API8:2023", securecore="nginx/tls.conf")
CHECKS = (
    _check(
        "SC-TLS-1",
        "Old versions of TLS",
        severity=Severity.MEDIUM,
        cwe=(326,),
        asvs=("12.1.1",),
        risk="Their breaks are known.",
        remedy="Offer TLS 1.2 and 1.3 only.",
        run=old_versions,
    ),
    _check(
        "SC-TLS-2",
        "Weak ciphers",
        severity=Severity.MEDIUM,
        cwe=(327,),
        asvs=("12.1.2",),
        risk="What was recorded is read later, when the key is known.",
        remedy="Offer ciphers with ephemeral keys and authenticated encryption only.",
        run=weak_ciphers,
    ),
    _check(
        "SC-TLS-3",
        "The server's certificate",
        severity=Severity.MEDIUM,
        cwe=(295,),
        asvs=("12.3.2",),
        risk="Clients learn to believe anything.",
        remedy="Renew it in time, for the name that clients use.",
        run=certificate,
    ),
    _check(
        "SC-TLS-4",
        "Resumed sessions",
        severity=Severity.LOW,
        cwe=(613, 299),
        asvs=("12.1.4",),
        risk="A resumed session is not verified again: a revoked certificate goes on.",
        remedy="Turn session cache and tickets off where clients are known by certificate.",
        run=resumption,
    ),
    _check(
        "SC-TLS-5",
        "A certificate of nobody's authority",
        severity=Severity.CRITICAL,
        cwe=(295,),
        asvs=("12.1.3",),
        risk="Anybody signs himself any name.",
        remedy="Verify client certificates against your own authority, and demand an explicit success.",
        run=a_stranger,
    ),
)
