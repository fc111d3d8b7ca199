"""docs/reference/problems.md: each code of a refusal, for the caller and for the operator."""

from __future__ import annotations

import tomllib
from pathlib import Path

import securecore.urls  # noqa: F401  # its views define refusals of their own
from securecore.errors import Refused, every_refusal
from tools.reference.prose import WRITTEN

HEAD = f"""# Problem codes

{WRITTEN}
Every refusal is `application/problem+json` (RFC 9457) with a stable `code`. The caller learns little: the title, and
for a request with a fault of its own a `detail`. The operator finds the reason in the event
`securecore.http.request-refused`, which has the same code, the path, the certificate's thumbprint and the `reason`.

A caller may send the same request again after 408, 425, 429, 502, 503, 504, and after 409 `idempotency-in-progress`,
with the same `Idempotency-Key` and a new nonce; never after another code without a change.
"""
_REMEDIES = tomllib.loads((Path(__file__).parent / "problems.toml").read_text())
#: Refusals of Django and nginx in the same form, which are no subclass of ``Refused``.
OTHERS = {
    "bad-request": (400, "The request cannot be understood."),
    "host-not-allowed": (400, "This service has another host name (ALLOWED_HOSTS)."),
    "csrf-failed": (403, "The request lacks its CSRF token."),
    "certificate-refused": (403, "Certificate refused"),
    "not-found": (404, "There is nothing at this address."),
    "method-not-allowed": (405, "Method Not Allowed"),
    "bad-gateway": (502, "Bad Gateway"),
    "gateway-timeout": (504, "Gateway Timeout"),
}
#: Bases of other refusals, which no request meets.
_ABSTRACT = ("refused", "unavailable")


def page() -> str:
    """Return the text of the page. Raises ``LookupError`` if a code has no remedy, or a remedy no code."""
    known = codes()
    if missing := set(known) ^ set(_REMEDIES):
        raise LookupError(f"tools/reference/problems.toml and the refusals differ in {sorted(missing)}")
    return "\n".join([HEAD, *(_section(code, *known[code]) for code in sorted(known))])


def codes() -> dict[str, tuple[int, str]]:
    """Return the status and the title of each code."""
    refusals: list[type[Refused]] = [kind for kind in every_refusal() if kind.__module__.startswith("securecore.")]
    return {kind.code: (kind.status, kind.title) for kind in refusals if kind.code not in _ABSTRACT} | OTHERS


def _section(code: str, status: int, title: str) -> str:
    remedy = _REMEDIES[code]
    lines = [f"## {code}", "", f'*The caller sees:* {status}, "{title}"', ""]
    lines += [f"*The operator looks for:* {remedy['look']}", "", f"*Mend:* {remedy['mend']}", ""]
    return "\n".join(lines)
