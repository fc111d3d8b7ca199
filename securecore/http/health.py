"""Responses to health probes. They need no certificate and reveal nothing but "ok" and "not ready"."""

from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from securecore import database

logger = logging.getLogger("securecore")

#: Fails if ``migrate`` has not created the tables. Reads no row.
_READS_TABLES = "SELECT 1 FROM securecore_gate, securecore_audit WHERE 1 = 0"


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Report that this process answers. Touches no database: a restart would not mend the database."""
    return _response("ok")


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Report whether this process can serve: the database answers, has securecore's tables, and is no hot standby."""
    try:
        reason = _why_not_ready()
    except (DatabaseError, InterfaceError) as error:
        reason = f"{type(error).__name__}: {error}"
    if not reason:
        return _response("ok")
    logger.warning("not ready: %s", reason)
    return _response("not ready", status=503)


def _why_not_ready() -> str:
    connection = database.connection()
    with connection.cursor() as cursor:
        cursor.execute(_READS_TABLES)
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone() == (True,):
                return "the database is a hot standby"
    return ""


def _response(status_text: str, *, status: int = 200) -> JsonResponse:
    return JsonResponse({"status": status_text}, status=status, headers={"Cache-Control": "no-store"})
