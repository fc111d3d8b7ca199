"""Who somebody is, to be asked often, and once with a long pause between the check and the answer."""

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
        return Response({"user": request.user.username, "leased": request.access.is_leased})


class Stop(Ask):
    """Stops its own process when the caller has been checked, until somebody lets it go on."""

    def get(self, request: Any) -> Response:
        answer = super().get(request)
        # To this thread: sent to the process, another could take it, and this one would answer before all are stopped.
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
