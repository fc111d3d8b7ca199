"""What drf-spectacular cannot read from securecore's classes. ``urls`` imports it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema, extend_schema_view, inline_serializer
from rest_framework import serializers

from securecore.http import views
from securecore.http.oauth import introspection, revocation, token

#: For the view that serves the document. 3.1 is the first version that knows mutual TLS.
DOCUMENT = {"TITLE": "Payments", "VERSION": "1", "OAS_VERSION": "3.1.0"}


class CertificateScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.CertificateAuthentication"
    name = "clientCertificate"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "mutualTLS"}


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class DPoPScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.DPoPAuthentication"
    name = "dpop"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "DPoP", "bearerFormat": "JWT"}


_login = inline_serializer("Login", {"user": serializers.CharField()})
_session = inline_serializer(
    "Session",
    {
        "id": serializers.UUIDField(),
        "created_at": serializers.DateTimeField(),
        "last_seen_at": serializers.DateTimeField(),
        "expires_at": serializers.DateTimeField(),
    },
    many=True,
)
_sessions = inline_serializer("Sessions", {"results": _session})
_token_request = inline_serializer(
    "TokenRequest",
    {
        "grant_type": serializers.ChoiceField(list(token.GRANT_TYPES)),
        "client_id": serializers.CharField(required=False, help_text="Its default is the certificate's username."),
        "refresh_token": serializers.CharField(required=False),
        "scope": serializers.CharField(required=False),
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
_presented = inline_serializer("PresentedToken", {"token": serializers.CharField()})
_introspected = inline_serializer("Introspection", {"active": serializers.BooleanField()})

extend_schema_view(post=extend_schema(request=None, responses=_login))(views.LoginView)
extend_schema_view(post=extend_schema(request=None, responses={204: None}))(views.LogoutView)
extend_schema_view(get=extend_schema(responses=_sessions))(views.SessionsView)
extend_schema_view(delete=extend_schema(responses={204: None}))(views.SessionView)
extend_schema_view(post=extend_schema(request=_token_request, responses=_token))(token.TokenView)
extend_schema_view(post=extend_schema(request=_presented, responses={200: None}))(revocation.RevocationView)
extend_schema_view(post=extend_schema(request=_presented, responses=_introspected))(introspection.IntrospectionView)
