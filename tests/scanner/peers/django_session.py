"""Django's sessions and login."""

from __future__ import annotations

import json

from tests.scanner.peers import project

project.configure(
    __name__,
    apps=("django.contrib.sessions",),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)

from django.contrib.auth import authenticate, login, logout  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


def log_in(request: HttpRequest) -> JsonResponse:
    user = authenticate(request, **json.loads(request.body))
    if user is None:
        return JsonResponse({}, status=401)
    login(request, user)
    return JsonResponse({"user": user.get_username()})


def log_out(request: HttpRequest) -> JsonResponse:
    logout(request)
    return JsonResponse({})


urlpatterns = [path("login", log_in), path("logout", log_out), path("whoami", project.whoami)]
application = project.application()
