"""The HTML page, the same for both services."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from demo_project.payments import statements
from demo_project.tour import report

if TYPE_CHECKING:  # the twin renders this page too, without securecore in its settings
    from securecore.http.request import SecureRequest

#: The number of transfers on the page, the newest first.
LISTED = 8


def protected_page(
    request: SecureRequest, *, result: report.Result | None = None, trouble: str = "", status: int = 200
) -> HttpResponse:
    """Render the page of the protected service, with the ``result`` of an attack if one was made."""
    user = request.certificate_user
    return page(
        request,
        user=user.get_username() if user else None,
        certificate=request.client_certificate,
        session=get_user(request).is_authenticated,
        protected=True,
        status=status,
        result=result,
        trouble=trouble,
        attacks=[
            {"name": name, "title": attack.TITLE, "about": attack.ABOUT, "outcome": _outcome(attack.TITLE, result)}
            for name, attack in report.BY_NAME.items()
        ],
    )


def _outcome(title: str, result: report.Result | None) -> dict[str, Any] | None:
    """Return the sides and rows of ``result`` if it is of the attack with this title."""
    if result is None or result.title != title:
        return None
    sides = (("Without securecore", result.unprotected), ("With securecore", result.protected))
    return {
        "sides": [{"name": name, "verdict": side.verdict, "trouble": side.trouble} for name, side in sides],
        "rows": [{"name": name, "probes": probes} for name, *probes in report.pairs(result)],
    }


def page(
    request: HttpRequest,
    *,
    user: str | None,
    certificate: Any,
    session: bool,
    protected: bool,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """Render the page for the holder of ``certificate``, with the ledger if the holder is a ``user`` of the service."""
    context: dict[str, Any] = {
        "user": user,
        "certificate": certificate,
        "fingerprint": fingerprint(certificate.thumbprint) if certificate else "",
        "session": session,
        "protected": protected,
        "base": request.build_absolute_uri("/" if protected else "/vulnerable/").rstrip("/"),
        **more,
    }
    if user:
        context |= {"accounts": statements.accounts(), "transfers": statements.transfers()["results"][:LISTED]}
        for row, name in [(each, "balance") for each in context["accounts"]] + [
            (each, "amount") for each in context["transfers"]
        ]:
            row["money"] = money(row[name])
    response = render(request, "payments/page.html", context, status=status)
    # The page belongs to the holder of one certificate, so no cache may keep it for another client.
    response["Cache-Control"] = "no-store"
    # The page needs one inline style sheet and its own forms: no script, no other origin, no frame around it.
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return response


def money(cents: int) -> str:
    """Return an amount as people write it: ``money(1_000_000)`` is "10,000.00"."""
    sign, amount = "-" if cents < 0 else "", abs(cents)
    return f"{sign}{amount // 100:,}.{amount % 100:02}"


def fingerprint(thumbprint: str) -> str:
    """Return a thumbprint as ``openssl x509 -fingerprint -sha256`` prints it."""
    return base64.urlsafe_b64decode(thumbprint + "=").hex(":").upper()
