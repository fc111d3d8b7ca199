"""Build the problem response of a refusal, as ``application/problem+json`` (RFC 9457), and emit its event.

The refusals themselves are in ``securecore.errors``. The OAuth endpoints have another format (``http.oauth``).
"""

from __future__ import annotations

import traceback
from typing import Any

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions, views
from rest_framework.response import Response

from securecore import database, events
from securecore.conf import settings
from securecore.errors import AuthenticationRequired, Busy, DatabaseUnavailable, Misuse, Refused, SessionRefused
from securecore.http.actor import request_id_of
from securecore.http.refusal_page import refusal_page, wants_page
from securecore.http.refusal_report import report_refusal
from securecore.http.request import AnyRequest
from securecore.sessions import SessionStore

CONTENT_TYPE = "application/problem+json"

#: The exceptions of the driver of which ``is_database_away`` may be true.
DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError)

#: PostgreSQL's code for idle_in_transaction_session_timeout. psycopg raises no OperationalError for it.
_IDLE_TOO_LONG = "25P03"
#: PostgreSQL's code for a write on a standby. psycopg raises InternalError, as for mistakes of the program.
_READ_ONLY = "25006"


def is_database_away(error: BaseException) -> bool:
    """Return whether ``error`` means that the database is unavailable, is no primary, or has ended this session."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    return (
        isinstance(error, (OperationalError, InterfaceError))
        or sqlstate == _IDLE_TOO_LONG
        or (sqlstate == _READ_ONLY and database.may_be_standby())
    )


#: PostgreSQL: undefined_table and undefined_column. SQLite says the same in a text.
_OTHER_TABLES, _NO_TABLE = ("42P01", "42703"), ("no such table", "no such column")


def require_migrated(error: BaseException) -> None:
    """Raise ``Misuse`` if ``error`` means that the database lacks a table or a column of securecore."""
    text, is_sqlstate = str(error), getattr(error.__cause__, "sqlstate", None) in _OTHER_TABLES
    if "securecore_" in text and (is_sqlstate or text.startswith(_NO_TABLE)):
        raise Misuse(
            f"The database {settings.DATABASE!r} lacks tables of securecore. Run manage.py migrate --database "
            f"{settings.DATABASE}, with the settings of the service."
        ) from error


def problem_response(request: HttpRequest, refusal: Refused) -> HttpResponse:
    """Return the response to a refused request, and emit its event. Only the event holds the cause.

    A browser that shows the response to a person gets a page; every program gets the problem.
    """
    report_refusal(request, code=refusal.code, reason=refusal.detail or refusal.title, cause=refusal.__cause__)
    response = _page_or_problem(request, refusal.code, refusal.status, refusal.title, refusal.detail)
    for name, value in refusal.headers.items():
        response[name] = value
    return response


def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return a 503 with Retry-After. An unavailable database never means "allowed".

    The next request on this thread connects anew, since this connection may lead to a standby.

    Raises ``Misuse`` if the database lacks tables of securecore, which SQLite reports like an unavailable database.
    """
    require_migrated(error)
    if database.is_lock_timeout(error):
        return problem_response(request, Busy())
    events.emit(events.DatabaseAway(path=request.path, reason=f"{type(error).__name__}: {error}"))
    if getattr(error.__cause__, "sqlstate", None) == _READ_ONLY:
        database.connection().close()
    return problem_response(request, DatabaseUnavailable())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Build the response for requests that Django itself refuses, for example with a foreign Host (``handler400``)."""
    if isinstance(exception, DisallowedHost):  # without the name, which an attacker may have chosen
        return _page_or_problem(request, "host-not-allowed", 400, "This service has another host name (ALLOWED_HOSTS).")
    return _page_or_problem(request, "bad-request", 400, "The request cannot be understood.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Build the response for an unknown URL (``handler404`` of a URLconf)."""
    return _page_or_problem(request, "not-found", 404, "There is nothing at this address.")


_CSRF_FAILED = "The request lacks its CSRF token."


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Build the response for a request without its CSRF token (``CSRF_FAILURE_VIEW``)."""
    return _page_or_problem(request, "csrf-failed", 403, _CSRF_FAILED)


def _page_or_problem(request: HttpRequest, code: str, status: int, title: str, detail: str = "") -> HttpResponse:
    """Return the refusal as a page for a browser that shows it to a person, and as a problem for every program."""
    response: HttpResponse
    if wants_page(request):
        response = refusal_page(code=code, status=status, title=title, detail=detail, request_id=request_id_of(request))
    else:
        problem = _problem(request, code=code, status=status, title=title, detail=detail)
        response = JsonResponse(problem, status=status, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ("Accept",))
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | HttpResponse | None:
    """Turn each error that REST framework knows into a problem response with its status and headers.

    Set it as REST framework's ``EXCEPTION_HANDLER``.
    """
    is_unauthenticated = isinstance(error, (exceptions.NotAuthenticated, AuthenticationRequired))
    if is_unauthenticated and _session_is_refused(context["request"]):
        error = SessionRefused()
    if isinstance(error, RecursionError) and _is_of_json(error):
        error = exceptions.ParseError("The JSON is nested too deeply.")
    if isinstance(error, Refused):
        views.set_rollback()
        return problem_response(context["request"], error)
    response = views.exception_handler(error, context)
    if response is None:
        return None
    problem = _problem_of(context["request"], error, response)
    if response.status_code in (401, 403):
        reason = str(problem.get("detail", problem["title"]))
        report_refusal(context["request"], code=problem["code"], reason=reason, cause=None)
    headers = {"Cache-Control": "no-store", **response.headers}
    return ProblemResponse(problem, status=response.status_code, headers=headers)


class ProblemResponse(Response):
    """A response of REST framework that is labelled as a problem where the body is JSON.

    A view may have other renderers. Example: a browser gets the page of ``BrowsableAPIRenderer``, as ``text/html``.
    """

    @property
    def rendered_content(self) -> Any:
        if self.accepted_renderer.media_type == "application/json":
            self.content_type = CONTENT_TYPE
        return super().rendered_content


def _is_of_json(error: BaseException) -> bool:
    """Return whether Python's JSON parser raised ``error``, as it does for a body like ``[[[[...``."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__") == "json.decoder"


def _problem_of(request: AnyRequest, error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, exceptions.NotAuthenticated):
        missing = AuthenticationRequired
        return _problem(request, code=missing.code, status=response.status_code, title=missing.title)
    if isinstance(error, exceptions.PermissionDenied) and str(error.detail).startswith("CSRF Failed:"):
        # REST framework's SessionAuthentication raises the exception of a missing permission.
        return _problem(request, code="csrf-failed", status=403, title=_CSRF_FAILED, detail=str(error.detail))
    code = getattr(error, "default_code", "not-found" if response.status_code == 404 else "permission-denied")
    title = str(getattr(error, "default_detail", response.reason_phrase))
    if "{" in title:  # a template such as 'Method "{method}" not allowed.', of which only ``error.detail`` is the text
        title = response.reason_phrase
    problem = _problem(request, code=str(code).replace("_", "-"), status=response.status_code, title=title)
    if isinstance(error, exceptions.ValidationError):
        problem["errors"] = _writable(error.detail)
    elif isinstance(error, exceptions.APIException) and (detail := _text_of(error.detail)) != title:
        problem["detail"] = _writable(detail)
    return problem


def _text_of(detail: object) -> str:
    """Return the sentence in the details of an error; simplejwt's details are a dictionary with the key ``detail``."""
    return str(detail["detail"]) if isinstance(detail, dict) and "detail" in detail else str(detail)


def _writable(detail: object) -> object:
    """Return the details of an error with lone surrogates escaped.

    JSON may contain a lone surrogate, but UTF-8 cannot encode it. ``ChoiceField`` quotes the refused value in its
    error, so without the escape the response would be a 500.
    """
    if isinstance(detail, str):
        return detail.encode("utf-8", "backslashreplace").decode()
    if isinstance(detail, dict):
        return {_writable(name): _writable(value) for name, value in detail.items()}
    return [_writable(part) for part in detail] if isinstance(detail, list | tuple) else detail


def _problem(request: AnyRequest, *, code: str, status: int, title: str, detail: str = "") -> dict[str, Any]:
    problem = {"type": f"urn:securecore:problem:{code}", "title": title, "status": status, "code": code}
    problem["request_id"] = request_id_of(request)
    return problem | ({"detail": detail} if detail else {})


def _session_is_refused(request: HttpRequest) -> bool:
    # This also covers REST framework's own SessionAuthentication, which treats such a session as anonymous, and a view
    # that has not loaded the session yet.
    session = getattr(request, "session", None)
    return isinstance(session, SessionStore) and session.is_refused
