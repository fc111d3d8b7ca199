"""djangorestframework-simplejwt with its blacklist and rotation, set up as in its manual."""

from __future__ import annotations

from typing import Any

from tests.scanner.peers import project

project.configure(
    __name__,
    apps=("rest_framework_simplejwt.token_blacklist",),
    SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True},
)

from django.urls import path  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.views import (  # noqa: E402
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
)


class Whoami(APIView):
    authentication_classes = (JWTAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})


urlpatterns = [
    path("api/whoami", Whoami.as_view()),
    path("api/token", TokenObtainPairView.as_view()),
    path("api/token/refresh", TokenRefreshView.as_view()),
    path("api/token/blacklist", TokenBlacklistView.as_view()),
]
application = project.application()
