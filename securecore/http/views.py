"""Log in, log out, and see and end one's own sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import clock
from securecore.conf import settings
from securecore.errors import CertificateRequired, CertificateUnknown, Refused
from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
)
from securecore.revocation import revoke_family, revoke_token
from securecore.sessions import Session
from securecore.sessions.models import SessionQuerySet
from securecore.tokens import AccessToken


class SessionUnknown(Refused):
    code = "session-unknown"
    status = 404
    title = "You have no such session."


class CertificateView(APIView):
    """A view for the user whose certificate it is; its answers are nobody else's."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (CertificateAuthentication,)
    permission_classes = (IsAuthenticated,)

    def permission_denied(self, request: Any, message: Any = None, code: Any = None) -> Any:
        raise CertificateRequired

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        add_never_cache_headers(response)
        return super().finalize_response(request, response, *args, **kwargs)


class LoginView(CertificateView):
    """Open a session for the certificate's user. The id is new, whatever cookie came in."""

    def post(self, request: Any) -> Response:
        user = authenticate(request._request)
        if user is None:
            raise CertificateUnknown
        login(request._request, user)
        return Response({"user": user.get_username()})


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class LogoutView(CertificateView):
    """End the session of this request, and the authorization of the access token it came with: access and refresh."""

    authentication_classes = (AccessTokenAuthentication, DPoPAuthentication, CertificateAuthentication)

    def post(self, request: Any) -> Response:
        token = request.auth
        if isinstance(token, AccessToken):
            revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at)
            if token.family_id is not None:
                revoke_family(token.family_id)
        logout(request._request)
        return Response(status=204)


class SessionsView(CertificateView):
    """The caller's live sessions, newest first."""

    def get(self, request: Any) -> Response:
        own = _own_sessions(request).order_by("-created_at")
        return Response({"results": [_described(session) for session in own]})


class SessionView(CertificateView):
    """End one of the caller's sessions, on every host at once."""

    def delete(self, request: Any, session_id: UUID) -> Response:
        if not _own_sessions(request).filter(pk=session_id).end():
            raise SessionUnknown
        return Response(status=204)


def _own_sessions(request: Any) -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE).for_user(request.user).live(clock.now())


def _described(session: Session) -> dict[str, Any]:
    return {
        "id": str(session.pk),
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
    }
