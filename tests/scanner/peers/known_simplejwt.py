"""djangorestframework-simplejwt with rotation and blacklist. PEER_FORM=weak signs with a tutorial's key."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from typing import Any

from tests.scanner.peers import project

WEAK = os.environ["PEER_FORM"] == "weak"
ROTATION: dict[str, Any] = {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}
TUTORIAL = {"SIGNING_KEY": "your-256-bit-secret", "ACCESS_TOKEN_LIFETIME": timedelta(days=1)}
MENDED = {"SIGNING_KEY": secrets.token_urlsafe(48), "AUDIENCE": "peer", "ISSUER": "peer"}
project.configure(
    __name__,
    apps=("rest_framework_simplejwt.token_blacklist", "drf_spectacular"),
    SIMPLE_JWT=ROTATION | (TUTORIAL if WEAK else MENDED),
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"},
)

from django.urls import path  # noqa: E402
from drf_spectacular.views import SpectacularAPIView  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.views import (  # noqa: E402
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
)

from tests.scanner.peers.whoami import whoami_view  # noqa: E402

urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view()),
    path("api/whoami/", whoami_view(JWTAuthentication)),
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
]
application = project.application("bob")
