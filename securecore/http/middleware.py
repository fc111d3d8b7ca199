"""The middleware of a project that uses securecore, in this order: certificate, session, authentication, refusals.

``RefusalMiddleware`` is the last middleware of the project.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthenticationMiddleware
from django.contrib.auth.middleware import LoginRequiredMiddleware as DjangoLoginRequiredMiddleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.db import ProgrammingError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.functional import SimpleLazyObject

from securecore import caller, clock, events, identity
from securecore.actors import acting
from securecore.conf import django_settings, settings
from securecore.database.engines import refuse_unsupported_engine
from securecore.errors import BodyIncomplete, Refused
from securecore.http.actor import actor_of
from securecore.http.authorization.credentials import user_of_plain_view
from securecore.http.authorization.header import DPOP, authorization_of
from securecore.http.caching import keep_private
from securecore.http.edge.admission import (
    refuse_cross_site,
    refuse_early_data,
    refuse_malformed_length,
    refuse_strange_charset,
    refuse_token_in_url,
)
from securecore.http.edge.peer import confusing_server
from securecore.http.edge.proxy import proven_certificate
from securecore.http.freshness.dpop import PresentedProof
from securecore.http.problems import (
    DATABASE_ERRORS,
    database_away,
    is_database_away,
    problem_response,
    require_migrated,
)
from securecore.http.request import AnyUser, GetResponse, RequestState, SecureRequest, credentials_of, state_of
from securecore.http.sessions.binding import opened_from, proven
from securecore.http.sessions.exposure import report_exposed_body, report_exposed_id
from securecore.http.sessions.session_user import presented_session
from securecore.sessions import SessionState, SessionStore


class ClientCertificateMiddleware:
    """Set ``request.client_certificate``, ``request.certificate_user`` and ``request.credentials``.

    ``client_certificate`` is a ``ClientCertificate`` or None, ``certificate_user`` is an active user or None.
    ``credentials`` holds the result of the one query for the other credentials of the request.

    The middleware checks the dates and the revocation of the certificate on each request, because neither the proxy nor
    TLS checks them again on an open connection.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_server_known = False
        refuse_unsupported_engine()  # a server starts without the system checks

    def __call__(self, request: SecureRequest) -> HttpResponseBase:
        if not self._is_server_known:
            self._report_server(request)
        state = request.securecore = RequestState()
        with acting(partial(actor_of, request)):
            return self._respond(request, state)

    def _respond(self, request: SecureRequest, state: RequestState) -> HttpResponseBase:
        try:
            self.admit(request)
            response = self.get_response(request)
        except Refused as refusal:
            return problem_response(request, refusal)
        except DATABASE_ERRORS as error:
            if not is_database_away(error):
                raise
            return database_away(request, error)
        except ProgrammingError as error:
            require_migrated(error)
            raise
        # RefusalMiddleware handles the exceptions of views. Django turns the exception of another middleware into a 500
        # response (or raises it, if the error page also needs the database).
        if state.refusal and response.status_code == 500:
            return problem_response(request, state.refusal)
        if state.database_away and response.status_code == 500:
            return database_away(request, state.database_away)
        return keep_private(request, response)

    def admit(self, request: SecureRequest) -> None:
        """Set the attributes of ``request``. Raises the refusal of a certificate, of a header, or of the origin."""
        request.client_certificate = request.certificate_user = None
        now = clock.now()
        certificate = proven_certificate(request, now)
        refuse_malformed_length(request)
        refuse_strange_charset(request)
        refuse_early_data(request)
        refuse_token_in_url(request)
        refuse_cross_site(request)
        header = authorization_of(request)
        request.credentials = caller.PresentedCredentials(
            now,
            certificate=certificate,
            session_key=presented_session(request),
            presented_token=header.access_token,
        )
        request.client_certificate = certificate
        request.certificate_user = request.credentials.user_of_certificate()
        if certificate is not None and request.certificate_user is None and settings.PENDING_CERTIFICATES:
            identity.present(certificate=certificate)
        request.dpop_proof = PresentedProof(request)
        if header.scheme == DPOP:
            request.dpop_proof.claim_for_token()

    def _report_server(self, request: SecureRequest) -> None:
        self._is_server_known = True
        if server := confusing_server(request):
            events.emit(events.ServerConfusesHeaders(server=server))


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's ``SessionMiddleware`` for sessions that are bound to a certificate.

    It passes the proven bindings of the request to the engine, which loads a session only under the session's binding.
    It rotates the id after a change of the user's privileges. It sets the cookie of a new id also if the view fails.
    """

    def process_request(self, request: SecureRequest) -> None:  # type: ignore[override]  # the type of Django's request
        report_exposed_id(request)
        presented_key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
        credentials = credentials_of(request)
        bindings = proven(credentials.certificate if credentials is not None else None)
        # securecore's engine (securecore.E201). An empty binding says that the request proves none.
        request.session = self.SessionStore(presented_key, *(bindings or ("",)))
        if credentials is not None and isinstance(request.session, SessionStore):
            request.session.prefetched_row = credentials.fresh_session

    def process_response(  # type: ignore[override]  # the type of Django's request
        self, request: SecureRequest, response: HttpResponse
    ) -> HttpResponse:
        session = getattr(request, "session", None)
        try:
            if not isinstance(session, SessionStore):
                return super().process_response(request, response)
            response = self._close(request, response, session)
            if (body := state_of(request).watched_body) is not None:
                report_exposed_body(request, body)
            return response
        except DATABASE_ERRORS as error:
            if not is_database_away(error):
                raise
            return database_away(request, error)

    def _close(self, request: HttpRequest, response: HttpResponse, session: SessionStore) -> HttpResponse:
        session.settle()
        if session.state is SessionState.OUTDATED:
            session.rotate()
        if not session.state.is_read_only:
            response = self._save(request, response, session)
        if session.state.is_read_only:  # another request has rotated the id; a cookie now would overwrite the new id
            patch_vary_headers(response, ("Cookie",))
        if django_settings.SESSION_COOKIE_NAME in response.cookies:
            patch_cache_control(response, private=True, no_store=True)
        return response

    def _save(self, request: HttpRequest, response: HttpResponse, session: SessionStore) -> HttpResponse:
        if session.opened_from == {} and session.modified:
            session.opened_from = opened_from(request)
        try:
            response = super().process_response(request, response)
        except SessionInterrupted:
            if not session.note_rotation():
                raise
        is_new = session.modified and session.session_key not in (None, session.presented_key)
        if response.status_code >= 500 and is_new:
            # After a failed request Django saves no session and sets no cookie. The id was rotated before the failure,
            # so the browser must get the new id.
            set_cookie(response, session)
        return response


def set_cookie(response: HttpResponse, session: SessionStore) -> None:
    """Set the session cookie, as Django's middleware does."""
    at_close = session.get_expire_at_browser_close()
    response.set_cookie(
        django_settings.SESSION_COOKIE_NAME,
        str(session.session_key),
        max_age=None if at_close else session.get_expiry_age(),
        domain=django_settings.SESSION_COOKIE_DOMAIN,
        path=django_settings.SESSION_COOKIE_PATH,
        secure=django_settings.SESSION_COOKIE_SECURE,
        httponly=django_settings.SESSION_COOKIE_HTTPONLY,
        samesite=django_settings.SESSION_COOKIE_SAMESITE,  # type: ignore[arg-type]  # a literal in the type stubs
    )
    patch_vary_headers(response, ("Cookie",))


class AuthenticationMiddleware(DjangoAuthenticationMiddleware):
    """Django's ``AuthenticationMiddleware``, without its SQL statement for ``request.user``.

    The one query has read the user with the session. If the access token in the Authorization header is not good, or
    belongs to another user, the first use of ``request.user`` raises the refusal.
    """

    def process_request(self, request: SecureRequest) -> None:  # type: ignore[override]  # the type of Django's request
        super().process_request(request)
        user: Any = SimpleLazyObject(lambda: user_of_plain_view(request))
        request.user = user
        request.auser = partial(_auser, request)


async def _auser(request: HttpRequest) -> AnyUser:
    """Return ``request.user``; reading it may query the database, so it runs in a thread."""
    await sync_to_async(lambda: request.user.is_authenticated)()
    return request.user


class LoginRequiredMiddleware(DjangoLoginRequiredMiddleware):
    """Django's ``LoginRequiredMiddleware``, for requests with other credentials than a session.

    Django's reads ``request.user`` before each view, also where the view needs no login. A bad access token would be a
    failure there (500). Here it is a problem response, and a view without a login judges its credentials itself.
    """

    def process_view(self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any) -> Any:
        if not getattr(view_func, "login_required", True):
            return None
        try:
            return super().process_view(request, view_func, view_args, view_kwargs)
        except Refused as refusal:
            return problem_response(request, refusal)


class RefusalMiddleware:
    """Turn a refusal of a view, and an unavailable database, into a problem response."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refused):
            return problem_response(request, exception)
        if is_database_away(exception):
            return database_away(request, exception)
        if isinstance(exception, UnreadablePostError):  # the client hung up while the view read the body
            return problem_response(request, BodyIncomplete())
        return None
