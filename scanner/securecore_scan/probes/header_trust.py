"""Forged headers in which a proxy names the client's certificate.

The scanner sends every such header name that it knows, in each spelling that some server turns into the same variable:
with hyphens, with underscores, mixed, in lower case, and twice. The forged identity is that of the second certificate.
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

from securecore_scan.checks import Check, Severity
from securecore_scan.client import sessions
from securecore_scan.client.request import Request
from securecore_scan.client.responses import is_refused, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Skipped, outcome_of, passed

Headers = tuple[tuple[str, str], ...]

#: Concurrent requests.
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


def without_certificate(target: Target) -> Iterator[Outcome]:
    """Send forged headers without a certificate. Works if one request is accepted."""
    path = sessions.whoami_path(target)
    if not target.answers_without_certificate():
        yield passed(f"GET {path}", "the port accepts no connection without a certificate")
        return
    groups = _header_groups(target)
    if not is_refused(target.get(path, "anonymous")):
        raise Inconclusive(f"GET {path} accepts requests without a certificate, forged headers or not")
    answers = _send_forged(target, "anonymous", groups)
    yield _outcome(f"GET {path}", answers, [name for name, answer in answers.items() if not is_refused(answer)])


def beside_a_certificate(target: Target) -> Iterator[Outcome]:
    """Send forged headers with the owner's certificate. Works if the service names another caller than the owner."""
    groups = _header_groups(target)
    owner, other = (sessions.user_name(target, target.credentials(role), role) for role in ("owner", "second"))
    if owner is None or owner == other:
        raise Inconclusive("the service does not name the caller, so a change of identity cannot be seen")
    answers = _send_forged(target, "owner", groups, tuple(target.credentials("owner").items()))
    accepted = {name: answer for name, answer in answers.items() if not is_refused(answer)}
    believed = [name for name, answer in accepted.items() if sessions.user_in(target, answer) != owner]
    yield _outcome(f"GET {sessions.whoami_path(target)}", answers, believed)


def at_the_application(target: Target) -> Iterator[Outcome]:
    """Send forged headers to the application's own port, past the proxy. Works if one request is accepted."""
    address = target.plan.application
    if address is None and not target.transport.is_tls:
        raise NotApplicable("plain http: the scan reaches the application itself")
    if address is None:
        raise Skipped("the plan does not name the address of the application behind the proxy: application")
    url = f"{address.rstrip('/')}{target.transport.prefix}{sessions.whoami_path(target)}"
    answers, unanswered = {}, 0
    for name, headers in _forged_headers(_header_groups(target)).items():
        try:
            answers[name] = target.transport.visit(None, Request("GET", url, headers))
        except httpx.HTTPError:
            unanswered += 1
    if not answers:
        raise Inconclusive(f"nothing answers at {address}: no connection of {unanswered}")
    believed = [name for name, answer in answers.items() if not is_refused(answer)]
    silence = f"{unanswered} of {unanswered + len(answers)} requests were not answered"
    yield _outcome(f"GET {url}", answers, believed, silence)


def _send_forged(target: Target, role: str, groups: dict[str, Headers], own: Headers = ()) -> dict[str, httpx.Response]:
    path, forged = sessions.whoami_path(target), _forged_headers(groups)

    def send(headers: Headers) -> httpx.Response:
        return target.transport.send(Request("GET", path, (*own, *headers)), role)

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        answers = pool.map(send, forged.values())
        return dict(zip(forged, answers, strict=True))


def _outcome(subject: str, answers: dict[str, httpx.Response], believed: list[str], *more: str) -> Outcome:
    count = f"{len(believed)} of {len(answers)} forged sets of headers were believed"
    details = ", ".join(f"{name}: {status_text(answers[name])}" for name in believed)
    return outcome_of(bool(believed), subject, *filter(None, (count, details)), *more)


def _forged_headers(groups: dict[str, Headers]) -> dict[str, Headers]:
    """Return each group of headers in each spelling, by a name for the report."""
    forged = {}
    for group, headers in groups.items():
        forged[f"{group} as written"] = headers
        forged[f"{group} with underscores"] = tuple((name.replace("-", "_"), value) for name, value in headers)
        forged[f"{group} mixed"] = tuple((name.replace("-", "_", 1), value) for name, value in headers)
        forged[f"{group} in lower case"] = tuple((name.lower(), value) for name, value in headers)
        forged[f"{group} twice"] = (*headers, *headers)
    return forged


def _header_groups(target: Target) -> dict[str, Headers]:
    identity = target.transport.identity("second")
    verified = tuple((header, "SUCCESS") for header in _VERIFY)
    if identity is None:
        # Without certificates a proxy in front may still name the user.
        if target.account("second") is None:
            raise NotApplicable("the scan has neither certificates nor accounts: no identity could be forged")
        return {"user": (*verified, *((header, target.name("second")) for header in _NAME))}
    certificate = x509.load_pem_x509_certificate(identity.cert.read_bytes())
    pem, name = certificate.public_bytes(Encoding.PEM).decode(), target.name("second")
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
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
    remedy="Let the proxy overwrite every identity header in every location, and drop header names with underscores. "
    "Let the application accept one header name only, and only from the proxy.",
    securecore="nginx/proxied.conf; ClientCertificateMiddleware with TRUSTED_PROXIES",
)
CHECKS = (
    _check(
        "SC-HDR-1",
        "Forged identity without a certificate",
        risk="Anybody can act as any user, with one header.",
        run=without_certificate,
    ),
    _check(
        "SC-HDR-2",
        "Forged identity beside a certificate",
        risk="Every user can act as every other user, with one header.",
        run=beside_a_certificate,
    ),
    _check(
        "SC-HDR-3",
        "Forged identity past the proxy",
        risk="A client that reaches the application's port can act as any user.",
        run=at_the_application,
    ),
)
