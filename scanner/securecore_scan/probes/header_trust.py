"""Headers in which a proxy says whose certificate it saw, sent by somebody who is no proxy.

All names that proxies use, in each spelling that becomes the same variable further in: with hyphens, with
underscores, mixed, and twice. The claim is the second identity's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securecore_scan.client import sessions
from securecore_scan.client.target import Target, described, refused
from securecore_scan.client.wire import Request
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, held, judged

#: Claims at a time.
THREADS = 4
_VERIFY = (
    "X-SSL-Client-Verify",
    "SSL-Client-Verify",
    "X-Client-Verify",
    "X-SSL-Client-Verified",
    "X-Client-Cert-Verified",
)
_PEM = ("X-SSL-Client-Cert", "SSL-Client-Cert", "X-Client-Cert", "X-SSL-Cert", "X-Amzn-Mtls-Clientcert-Leaf")
_DN = ("X-SSL-Client-S-DN", "SSL-Client-S-DN", "X-SSL-Client-DN", "X-Client-DN", "X-Amzn-Mtls-Clientcert-Subject")
_NAME = (
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "X-Auth-Request-User",
    "X-Authenticated-User",
    "X-User",
    "X-Webauth-User",
    "X-SSL-Client-S-DN-CN",
    "X-SSL-Client-CN",
    "X-Client-CN",
)


def without_certificate(target: Target) -> Iterator[Seen]:
    """Claim an identity without a certificate. Works if the service answers as if there were one."""
    if not target.answers_without_certificate():
        yield held(f"GET {sessions.read_at(target)}", "the port takes no connection without a certificate")
        return
    if not refused(target.get(sessions.read_at(target), "nobody")):
        raise NotJudged(f"GET {sessions.read_at(target)} answers without a certificate anyway")
    answers = _answers(target, "nobody")
    believed = {what: answer for what, answer in answers.items() if not refused(answer)}
    yield _judged(target, answers, list(believed))


def beside_a_certificate(target: Target) -> Iterator[Seen]:
    """Claim another identity beside the owner's certificate. Works if the service takes the caller for the other."""
    me, other = sessions.user_with(target, {}), sessions.user_with(target, {}, "second")
    if me is None or me == other:
        raise NotJudged("the service does not say who is who")
    answers = _answers(target, "owner")
    believed = [
        what for what, answer in answers.items() if not refused(answer) and sessions.user_of(target, answer) != me
    ]
    yield _judged(target, answers, believed)


def at_the_application(target: Target) -> Iterator[Seen]:
    """Claim an identity at the port of the application itself, past the proxy. Works if it is believed."""
    address = target.plan.application
    if address is None:
        raise Skipped("the plan names no address of the application itself: application")
    url = f"{address.rstrip('/')}{target.wire.prefix}{sessions.read_at(target)}"
    answers, silent = {}, 0
    for what, headers in _claims(target).items():
        try:
            answers[what] = target.wire.visit(None, Request("GET", url, headers))
        except httpx.HTTPError:
            silent += 1
    believed = [what for what, answer in answers.items() if not refused(answer)]
    seen = _judged(target, answers, believed)
    yield judged(bool(believed), f"GET {url}", *seen.evidence, f"{silent} of {silent + len(answers)} were not answered")


def _answers(target: Target, who: str) -> dict[str, httpx.Response]:
    path, claims = sessions.read_at(target), _claims(target)
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        answers = pool.map(lambda claim: target.wire.send(Request("GET", path, claim), who), claims.values())
        return dict(zip(claims, answers, strict=True))


def _judged(target: Target, answers: dict[str, httpx.Response], believed: list[str]) -> Seen:
    seen = ", ".join(f"{what}: {described(answer)}" for what, answer in answers.items() if what in believed)
    said = f"{len(believed)} of {len(answers)} forged sets of headers were believed"
    return judged(bool(believed), f"GET {sessions.read_at(target)}", *filter(None, (said, seen)))


def _claims(target: Target) -> dict[str, tuple[tuple[str, str], ...]]:
    groups = _groups(target)
    claims = {}
    for group, headers in groups.items():
        claims[f"{group} as written"] = headers
        claims[f"{group} with underscores"] = tuple((name.replace("-", "_"), value) for name, value in headers)
        claims[f"{group} mixed"] = tuple((name.replace("-", "_", 1), value) for name, value in headers)
        claims[f"{group} in small letters"] = tuple((name.lower(), value) for name, value in headers)
        claims[f"{group} twice"] = (*headers, *headers)
    return claims


def _groups(target: Target) -> dict[str, tuple[tuple[str, str], ...]]:
    identity = target.wire.identity("second")
    if identity is None:
        raise Skipped("plain http has no certificates")
    certificate = x509.load_pem_x509_certificate(identity.cert.read_bytes())
    pem, name = certificate.public_bytes(Encoding.PEM).decode(), target.name("second")
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    verified = tuple((header, "SUCCESS") for header in _VERIFY)
    subject = certificate.subject.rfc4514_string()
    envoy = f'Hash={"0" * 64};Subject="{subject}";Cert="{quote(pem, safe="")}"'
    return {
        "certificate": (*verified, *((header, quote(pem, safe="")) for header in _PEM)),
        "RFC 9440": (("Client-Cert", f":{der}:"), ("X-Forwarded-Tls-Client-Cert", der), *verified),
        "Envoy": (("X-Forwarded-Client-Cert", envoy),),
        "subject": (*verified, *((header, subject) for header in _DN)),
        "user": (*verified, *((header, name) for header in _NAME)),
    }


_check = partial(
    Check,
    category="forged-identity",
    severity=Severity.CRITICAL,
    cwe=(290, 348),
    owasp="API2:2023",
    asvs=("4.1.3", "12.1.3"),
    remedy="Let the proxy overwrite every identity header, in every location, and drop names with underscores; "
    "believe them from the proxy alone; believe one name only.",
    securecore="nginx/proxied.conf; ClientCertificateMiddleware with TRUST_UNIX_SOCKET or TRUSTED_PROXIES",
)
CHECKS = (
    _check(
        "SC-HDR-1",
        "A forged identity without a certificate",
        risk="Anybody is anybody, with one header.",
        run=without_certificate,
    ),
    _check(
        "SC-HDR-2",
        "A forged identity beside a certificate",
        risk="Every user is every other, with one header.",
        run=beside_a_certificate,
    ),
    _check(
        "SC-HDR-3",
        "A forged identity past the proxy",
        risk="Whoever reaches the application itself is anybody.",
        run=at_the_application,
    ),
)
