"""A certificate that is revoked while its TLS session can be resumed."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from securecore_scan.checks import Check, Severity
from securecore_scan.client import resumption, sessions
from securecore_scan.client.responses import require_success
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Outcome, Skipped, outcome_of
from securecore_scan.plan import Revocation

_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def resumed_after_revocation(target: Target) -> Iterator[Outcome]:
    """Open a session with a certificate, revoke the certificate, and resume the session.

    Works if a request over the resumed session, or over a new one, is answered 2xx.
    """
    plan = _plan(target)
    path = sessions.whoami_path(target)
    opened = {version.name: _opened(target, plan, version, path) for version in _VERSIONS}
    live = {name: found for name, found in opened.items() if found is not None}
    if not live:
        raise Inconclusive(f"GET {path} refuses the certificate of [revocation] before its revocation")
    identity = x509.load_pem_x509_certificate(plan.certificate.cert.read_bytes())
    thumbprint = base64.urlsafe_b64encode(identity.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    values = {"thumbprint": thumbprint, "serial": f"{identity.serial_number:x}"}
    require_success(target.call(plan.revoke, plan.by, None, **values))
    try:
        seen = {name: _tried_again(target, context, path, session) for name, (context, session) in live.items()}
    finally:
        if plan.restore is not None:
            with target.transport.budget.restoring():
                require_success(target.call(plan.restore, plan.by, None, **values))
    worked = any(accepted for accepted, _ in seen.values())
    yield outcome_of(worked, f"GET {path}", *(f"{name}: {said}" for name, (_, said) in seen.items()))


def _plan(target: Target) -> Revocation:
    target.transport.require_certificates()
    if target.plan.revocation is None:
        raise Skipped("the plan names no certificate that may be revoked: [revocation]")
    return target.plan.revocation


def _opened(
    target: Target, plan: Revocation, version: ssl.TLSVersion, path: str
) -> tuple[ssl.SSLContext, ssl.SSLSession | None] | None:
    context = target.transport.context(plan.certificate)
    context.minimum_version = context.maximum_version = version
    try:
        found = resumption.exchange(target.transport, context, path)
    except OSError:
        return None
    return (context, found.session) if found.succeeded else None


def _tried_again(
    target: Target, context: ssl.SSLContext, path: str, session: ssl.SSLSession | None
) -> tuple[bool, str]:
    """Return whether a request was accepted after the revocation, and a description."""
    accepted, said = False, []
    for name, used in (("the old session", session), ("a new session", None)):
        try:
            found = resumption.exchange(target.transport, context, path, session=used)
        except OSError as error:
            said.append(f"{name}: no response ({type(error).__name__})")
            continue
        accepted = accepted or found.succeeded
        said.append(f"{name}{', resumed' if found.resumed else ''}: {found.status}")
    return accepted, ", ".join(said)


CHECKS = (
    Check(
        "SC-TLS-7",
        "Resumed session of a revoked certificate",
        category="tls",
        severity=Severity.HIGH,
        cwe=(299, 613),
        owasp="API2:2023",
        asvs=("12.1.4",),
        risk="A stolen key works on after its certificate was revoked, as long as its TLS session is resumed.",
        remedy="Turn off session tickets and the session cache, or read a revocation list at every request and not at "
        "the handshake alone.",
        securecore="securecore's own revocation list, read at every request; ssl_session_tickets off in nginx/tls.conf",
        run=resumed_after_revocation,
    ),
)
