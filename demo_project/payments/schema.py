"""OpenAPI descriptions of securecore's own views, which drf-spectacular cannot read. ``urls`` imports this module."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view, inline_serializer
from rest_framework import serializers

from securecore.http.oauth import introspection, revocation, token
from securecore.http.sessions import views

_login = inline_serializer("Login", {"user": serializers.CharField()})
_session = inline_serializer(
    "Session",
    {
        "id": serializers.UUIDField(),
        "current": serializers.BooleanField(),
        "device": serializers.CharField(),
        "address": serializers.CharField(),
        "certificate": serializers.CharField(help_text="Thumbprint of the one it was opened under."),
        "created_at": serializers.DateTimeField(),
        "last_seen_at": serializers.DateTimeField(),
        "expires_at": serializers.DateTimeField(),
    },
    many=True,
)
_sessions = inline_serializer("Sessions", {"results": _session})
_ended = inline_serializer("Ended", {"ended": serializers.IntegerField(help_text="How many.")})
_error = inline_serializer(
    "OAuthError",
    {
        "error": serializers.CharField(help_text="A code of RFC 6749 section 5.2, or of an extension."),
        "error_description": serializers.CharField(required=False),
    },
)
_errors = {400: _error, 401: _error}


def _parameter(**options: Any) -> serializers.RegexField:
    """Describe a parameter of a form, which never holds NUL. An optional one may be empty: that counts as absent."""
    return serializers.RegexField(r"^[^\x00]+\Z", allow_blank=not options.get("required", True), **options)


_token_request = inline_serializer(
    "TokenRequest",
    {
        "grant_type": serializers.ChoiceField(list(token.GRANT_TYPES)),
        "client_id": _parameter(required=False, help_text="Its default is the certificate's username."),
        "refresh_token": _parameter(required=False, help_text="Required for the grant type refresh_token."),
        "scope": _parameter(required=False),
    },
)
_token = inline_serializer(
    "Token",
    {
        "access_token": serializers.CharField(),
        "token_type": serializers.CharField(),
        "expires_in": serializers.IntegerField(help_text="Seconds."),
        "refresh_token": serializers.CharField(required=False),
        "scope": serializers.CharField(required=False),
    },
)
_presented = inline_serializer("PresentedToken", {"token": _parameter()})
_introspected = inline_serializer("Introspection", {"active": serializers.BooleanField()})

extend_schema_view(post=extend_schema(request=None, responses=_login))(views.LoginView)
extend_schema_view(post=extend_schema(request=None, responses={204: None}))(views.LogoutView)
extend_schema_view(
    get=extend_schema(responses=_sessions),
    delete=extend_schema(operation_id="auth_sessions_end_others", responses={200: _ended}),
)(views.SessionsView)
extend_schema_view(delete=extend_schema(responses={204: None}))(views.SessionView)
extend_schema_view(post=extend_schema(request=_token_request, responses={200: _token, **_errors}))(token.TokenView)
extend_schema_view(post=extend_schema(request=_presented, responses={200: None, **_errors}))(revocation.RevocationView)
extend_schema_view(post=extend_schema(request=_presented, responses={200: _introspected, **_errors}))(
    introspection.IntrospectionView
)
