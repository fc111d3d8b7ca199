"""Signal receivers at the borders of a request: before Django creates it, and after a middleware raised."""

from __future__ import annotations

import sys

from django.core.signals import got_request_exception, request_started

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


def connect() -> None:
    request_started.connect(set_aside_strange_charset, dispatch_uid="securecore.set_aside_strange_charset")
    got_request_exception.connect(note_exception, dispatch_uid="securecore.note_exception")
