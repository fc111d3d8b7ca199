"""Views that name the caller: one for many requests, and one with a long pause between the check and the response."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    SessionAuthentication,
)


class Ask(APIView):
    def get(self, request: Any) -> Response:
        return Response({"user": request.user.username, "leased": request.credentials.is_leased})


class Stop(Ask):
    """Stop this process after the caller was checked, until the test sends SIGCONT."""

    def get(self, request: Any) -> Response:
        answer = super().get(request)
        # Sent to this thread. Another thread could take a signal to the process, and this thread would answer before
        # the stop.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return answer


def by(view: type[APIView], authentication: type) -> Any:
    return view.as_view(authentication_classes=(authentication,))


urlpatterns = [
    path("token", by(Ask, AccessTokenAuthentication)),
    path("certificate", by(Ask, CertificateAuthentication)),
    path("session", by(Ask, SessionAuthentication)),
    path("stop", by(Stop, AccessTokenAuthentication)),
    path("", include("securecore.urls")),
]
