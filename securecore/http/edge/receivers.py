"""Signal receivers at the borders of a request: before Django creates it, and after a middleware raised."""

from __future__ import annotations

import sys

from django.core.signals import got_request_exception, request_finished, request_started

from securecore import audit, database
from securecore.errors import Refused
from securecore.http.edge.admission import set_aside_strange_charset
from securecore.http.problems import is_database_away
from securecore.http.request import SecureRequest, state_of


def note_exception(*, request: SecureRequest | None = None, **_: object) -> None:
    """Keep the exception of another middleware for ``ClientCertificateMiddleware``.

    Django turns the exception into a 500 before ``ClientCertificateMiddleware`` sees it. For example a middleware that
    reads ``request.user`` raises ``InvalidToken`` for a bad access token.
    """
    error = sys.exc_info()[1]
    if request is not None and isinstance(error, Exception) and is_database_away(error):
        state_of(request).database_away = error
    if request is not None and isinstance(error, Refused):
        state_of(request).refusal = error


def flush_refusals(**_: object) -> None:
    """Add the counted refusals to the table, once a minute, after the response of any request was sent."""
    if audit.refusal_counts.is_due:
        audit.refusal_counts.flush()
        # Django's own receiver, which closes the connection of a request, may have run before this one.
        if not database.connection().in_atomic_block:  # of a TestCase
            database.connection().close_if_unusable_or_obsolete()


def connect() -> None:
    request_finished.connect(flush_refusals, dispatch_uid="securecore.flush_refusals")
    request_started.connect(set_aside_strange_charset, dispatch_uid="securecore.set_aside_strange_charset")
    got_request_exception.connect(note_exception, dispatch_uid="securecore.note_exception")
