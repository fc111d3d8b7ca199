"""A refusal as a page, for a person with a browser. Programs get the problem response (RFC 9457)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

_JSON, _HTML = ("application/problem+json", "application/json"), "text/html"

#: The next step of a person, by the beginning of a code. The longest beginning that fits counts.
_NEXT_STEPS = {
    "certificate": "Choose another certificate: start the browser anew, since it remembers the choice. If this is the "
    "right one, send its fingerprint to the operator of this service.",
    "authentication-required": "Your browser sent no client certificate. Import the file that you were given (.p12), "
    "start the browser anew, and open this page again.",
    "session": "Log in again, with the certificate that you want to use.",
    "credentials": "Log out, close the browser, and log in with one certificate.",
    "cross-site": "Open the page of this service itself, and begin there.",
    "permission-denied": "Ask the operator of this service for the permission.",
    "recent-authentication-required": "Log in again, then repeat the step.",
}
_OTHERWISE = "Go back and try again. If it happens again, send this code to the operator of this service."

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,"><style>
:root {{ color-scheme: light dark }} body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto;
padding: 0 1.25rem }} h1 {{ font-size: 1.5rem; line-height: 1.25 }} code {{ font: .9rem ui-monospace, monospace }}
</style></head><body><main><h1>{title}</h1><p>{detail}</p><p>{next_step}</p>
<p>Code <code>{code}</code>, status {status}, request <code>{request_id}</code>.</p></main></body></html>
"""


def wants_page(request: HttpRequest) -> bool:
    """Return whether a browser shows the response to a person: ``Accept`` prefers HTML to every kind of JSON."""
    accepted = request.headers.get("Accept", "")
    return _HTML in accepted and request.get_preferred_type([*_JSON, _HTML]) == _HTML


def refusal_page(*, code: str, status: int, title: str, request_id: str, detail: str = "") -> HttpResponse:
    """Return the page. It loads nothing, so that it needs nothing that the refusal denies."""
    page = format_html(
        _PAGE,
        title=title,
        detail=detail,
        next_step=_next_step(code),
        code=code,
        status=status,
        request_id=request_id,
    )
    response = HttpResponse(page, status=status, headers={"Cache-Control": "no-store"})
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return response


def _next_step(code: str) -> str:
    fitting = [beginning for beginning in _NEXT_STEPS if code.startswith(beginning)]
    return _NEXT_STEPS[max(fitting, key=len)] if fitting else _OTHERWISE
