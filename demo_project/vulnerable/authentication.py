"""WEAKNESS: forged identity. A header names the user, and every client can send a header."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from demo_project.vulnerable import certificates, sessions, tokens

# The flaw: "the old proxy authenticates the client and writes its name here". That proxy is gone, so any client can
# send the header.
_USER_HEADER = "HTTP_X_AUTH_REQUEST_USER"


class Authentication(BaseAuthentication):
    """Take the user from a token, else a session, else a header, else the certificate. Compare them with nothing."""

    def authenticate(self, request: Any) -> tuple[User, str] | None:
        client = certificates.presented(request)
        evidence = {
            "token": tokens.presented(request),
            "session": sessions.presented(request),
            "header": request.META.get(_USER_HEADER),
            "certificate": client and client.name,
        }
        for kind, username in evidence.items():
            if username:
                user = User.objects.filter(username=username, is_active=True).first()
                if user is None:
                    raise AuthenticationFailed("Unknown user.")
                return user, kind
        return None

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"
