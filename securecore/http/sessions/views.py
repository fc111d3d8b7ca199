"""Views for users: log in, log out, list and end their own sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeGuard
from uuid import UUID

from django.contrib.auth import authenticate, logout
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import clock
from securecore.conf import settings
from securecore.errors import CertificateRequired, CertificateUnknown, CredentialsRefused, Refused
from securecore.grants import principal_of
from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
    SessionAuthentication,
)
from securecore.http.edge.transactions import outside_transactions
from securecore.http.idempotency import idempotency_exempt
from securecore.http.request import SecureRequest, User, django_request
from securecore.http.sessions.login import login
from securecore.revocation import end_selected_sessions, revoke_family, revoke_token
from securecore.sessions import Session, SessionQuerySet, record_id
from securecore.texts import is_storable
from securecore.tokens import AccessToken


class SessionUnknown(Refused):
    code = "session-unknown"
    status = 404
    title = "You have no such session."


@idempotency_exempt  # cookies are never stored with a response, so a replayed login would open no session
class PrivateView(APIView):
    """A view with responses that no cache may keep."""

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        add_never_cache_headers(response)
        return super().finalize_response(request, response, *args, **kwargs)


class OwnerView(PrivateView):
    """A view for the certificate's user or, without a certificate, for the session's user."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (CertificateAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        raise CertificateRequired


class LoginView(PrivateView):
    """Open a session under a new id; the presented cookie does not count.

    ``demands`` lists the required credentials of a route. ``("certificate",)`` logs the certificate's user in.
    ``("certificate", "password")`` also requires that user's password. ``("password",)`` accepts ``username`` and
    ``password`` without a certificate: ``path("login", LoginView.as_view(demands=("password",)))``.
    """

    authentication_classes = ()
    permission_classes = ()
    demands: tuple[str, ...] = ("certificate",)

    def post(self, request: Request) -> Response:
        sent = request.data if "password" in self.demands else {}
        of_django = django_request(request)
        user = self._user(of_django, sent if isinstance(sent, Mapping) else {})
        login(of_django, user)
        return Response({"user": user.get_username()})

    def _user(self, request: SecureRequest, presented: Mapping[str, object]) -> User:
        if "certificate" in self.demands:
            if request.client_certificate is None:
                raise CertificateRequired
            owner = authenticate(request)
            if owner is None:
                raise CertificateUnknown
            if "password" not in self.demands:
                return owner
            presented = {"username": owner.get_username(), "password": presented.get("password")}
        username, password = presented.get("username"), presented.get("password")
        if not (_is_credential(username) and _is_credential(password)):
            raise CredentialsRefused
        user = authenticate(request, username=username, password=password)
        if user is None:
            raise CredentialsRefused
        return user


#: The longest user name or password, in characters. Hashing a longer one would cost time at the sender's choice.
_LONGEST_CREDENTIAL = 4096


def _is_credential(sent: object) -> TypeGuard[str]:
    return isinstance(sent, str) and len(sent) <= _LONGEST_CREDENTIAL and is_storable(sent)


@method_decorator(outside_transactions, name="dispatch")
class LogoutView(OwnerView):
    """End the session of this request, and revoke its access token and the refresh-token family of that token."""

    authentication_classes = (
        AccessTokenAuthentication,
        DPoPAuthentication,
        CertificateAuthentication,
        SessionAuthentication,
    )

    def post(self, request: Request) -> Response:
        token = request.auth
        if isinstance(token, AccessToken):
            revoke_token(
                issuer=token.issuer,
                jti=token.jti,
                expires_at=token.expires_at,
                subject=token.subject,
                client_id=token.client_id,
            )
            if token.family_id is not None:
                revoke_family(token.family_id)
        logout(django_request(request))
        return Response(status=204)


@method_decorator(outside_transactions, name="dispatch")
class SessionsView(OwnerView):
    """List the caller's live sessions, newest first. DELETE ends all of them except the session of this request."""

    def get(self, request: Request) -> Response:
        own, current = _own_sessions(request).order_by("-created_at"), _current(request)
        return Response({"results": [_described(session, current) for session in own]})

    def delete(self, request: Request) -> Response:
        others = _own_sessions(request).exclude(pk=_current(request))
        ended = end_selected_sessions(others, reason=f"others of {principal_of(request.user)}, by itself")
        return Response({"ended": ended})


@method_decorator(outside_transactions, name="dispatch")
class SessionView(OwnerView):
    """End one of the caller's sessions, on all hosts at once."""

    def delete(self, request: Request, session_id: UUID) -> Response:
        named = _own_sessions(request).filter(pk=session_id)
        if not named.exists():
            raise SessionUnknown
        if not end_selected_sessions(named, reason=f"one of {principal_of(request.user)}, by itself"):
            raise SessionUnknown
        return Response(status=204)


def _own_sessions(request: Request) -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE).for_user(request.user).live(clock.now())


def _current(request: Request) -> UUID:
    return record_id(request.session.session_key or "")


def _described(session: Session, current: UUID) -> dict[str, Any]:
    return {
        "id": str(session.pk),
        "current": session.pk == current,
        "device": session.device,
        "address": session.address,
        "certificate": session.certificate,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
    }
