"""Mount with ``path("", include("securecore.urls"))``."""

from __future__ import annotations

from django.urls import path

from securecore.http import health, metrics
from securecore.http.oauth import introspection, metadata, revocation, token
from securecore.http.sessions import views

app_name = "securecore"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/logout", views.LogoutView.as_view(), name="logout"),
    path("auth/sessions", views.SessionsView.as_view(), name="sessions"),
    path("auth/sessions/<uuid:session_id>", views.SessionView.as_view(), name="session"),
    path("oauth/token", token.TokenView.as_view(), name="token"),
    path("oauth/revoke", revocation.RevocationView.as_view(), name="revoke"),
    path("oauth/introspect", introspection.IntrospectionView.as_view(), name="introspect"),
    path("oauth/jwks", metadata.jwks, name="jwks"),
    path(".well-known/oauth-authorization-server", metadata.authorization_server, name="metadata"),
]
