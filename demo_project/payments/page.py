"""The page for people, the same for both services."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from demo_project.payments import statements

#: The newest so many transfers fit on one screen.
LISTED = 8


def page(
    request: HttpRequest, *, user: str | None, certificate: Any, session: bool, protected: bool, status: int = 200
) -> HttpResponse:
    """Show who ``certificate`` says is there, and the ledger if that is a ``user`` of ours."""
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
    # It shows one person's view, and goes by the certificate: no cache may keep it for somebody else.
    response["Cache-Control"] = "no-store"
    # One inline style sheet and nothing else: no script, no other origin, no frame around it.
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
