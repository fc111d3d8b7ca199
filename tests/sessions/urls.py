"""Views that log in, rotate and fail, beside those of tests/http/urls.py."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login as django_login
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.models import User
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.authentication import SessionAuthentication
from securecore.http.decorators import recently_authenticated
from securecore.http.permissions import RecentlyAuthenticated
from securecore.http.sessions.login import login, rotate, step_up
from securecore.http.sessions.views import LoginView


def _log_in(request: Any) -> HttpResponse:
    """Log in with the function that the query names, then end as the query says."""
    by = login if "ours" in request.GET else django_login
    by(
        request,
        User.objects.get(username=request.GET.get("user", "alice")),
        "django.contrib.auth.backends.ModelBackend",
    )
    return _outcome(request)


def _rotate(request: Any) -> HttpResponse:
    rotate(request)
    return _outcome(request)


def _step_up(request: Any) -> HttpResponse:
    step_up(request)
    return _outcome(request)


def _log_out(request: Any) -> HttpResponse:
    logout(request)
    return _outcome(request)


def _password(request: Any) -> HttpResponse:
    request.user.set_password("another")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return _outcome(request)


def _outcome(request: Any) -> HttpResponse:
    if "raises" in request.GET:
        raise ZeroDivisionError
    if "invalid" in request.GET:
        raise ValidationError
    return JsonResponse({"user": request.user.username}, status=int(request.GET.get("status", "200")))


class Invalid(APIView):
    """REST framework rolls back on its own exceptions under ATOMIC_REQUESTS, and answers 400."""

    permission_classes = ()

    def post(self, request: Any) -> Response:
        django_login(request._request, User.objects.get(username="alice"), "django.contrib.auth.backends.ModelBackend")
        raise ValidationError


@recently_authenticated(within=300)
def _recent(request: Any) -> HttpResponse:
    return HttpResponse("recent")


class Recent(APIView):
    permission_classes = (RecentlyAuthenticated(within=300),)  # type: ignore[assignment]

    def get(self, request: Any) -> Response:
        return Response("recent")


class BySession(APIView):
    authentication_classes: tuple[Any, ...] = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(request.user.username)

    post = get


class ByTheirSession(BySession):
    authentication_classes = (RestSessionAuthentication,)


def _upload(request: Any) -> HttpResponse:
    """Read the body in the way that the query names, and report its contents."""
    how = request.GET["how"]
    if how == "fields":
        parts = {**request.POST.dict(), **{name: file.read().decode() for name, file in request.FILES.items()}}
        return JsonResponse(parts)
    if how == "handlers":  # Django refuses this after the body was read
        request.upload_handlers = [TemporaryFileUploadHandler(request)]
        return JsonResponse({name: type(file).__name__ for name, file in request.FILES.items()})
    if how == "pieces":
        return JsonResponse({"bytes": sum(len(piece) for piece in iter(lambda: request.read(1_000), b""))})
    if how == "lines":
        return JsonResponse({"bytes": sum(len(line) for line in request)})
    return JsonResponse({"bytes": 0 if how == "nothing" else len(request.body)})


urlpatterns = [
    path("upload", _upload),
    path("log-in", _log_in),
    path("log-out", _log_out),
    path("rotate", _rotate),
    path("step-up", _step_up),
    path("password", _password),
    path("invalid", Invalid.as_view()),
    path("recent", _recent),
    path("api/recent", Recent.as_view()),
    path("by-session", BySession.as_view()),
    path("by-their-session", ByTheirSession.as_view()),
    path("login/both", LoginView.as_view(demands=("certificate", "password"))),
    path("login/password", LoginView.as_view(demands=("password",))),
    path("", include("tests.http.urls")),
]
