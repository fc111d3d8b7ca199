"""The HTML page, the same for both services."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from demo_project.payments import statements

#: The number of transfers on the page, the newest first.
LISTED = 8


def page(
    request: HttpRequest, *, user: str | None, certificate: Any, session: bool, protected: bool, status: int = 200
) -> HttpResponse:
    """Render the page for the holder of ``certificate``, with the ledger if the holder is a ``user`` of the service."""
    context: dict[str, Any] = {
        "user": user,
        "certificate": certificate,
        "session": session,
        "protected": protected,
        "base": request.build_absolute_uri(request.path).rstrip("/"),
    }
    if user:
        context |= {"accounts": statements.accounts(), "transfers": statements.transfers()["results"][:LISTED]}
    response = render(request, "payments/page.html", context, status=status)
    # The page belongs to the holder of one certificate, so no cache may keep it for another client.
    response["Cache-Control"] = "no-store"
    # The page needs one inline style sheet and nothing else: no script, no other origin, no frame around it.
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
