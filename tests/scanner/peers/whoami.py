"""A view of REST framework that names the caller. It is imported after Django was configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView


class HasToken(BasePermission):
    """A token of client credentials has no user, so IsAuthenticated would refuse it."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return request.auth is not None


def whoami_view(authentication: type) -> Callable[..., Any]:
    """Return the view, protected by this authentication class."""

    class Whoami(APIView):
        authentication_classes = (authentication,)
        permission_classes = (HasToken,)

        def get(self, request: Any) -> Response:
            # A token of client credentials names its client.
            return Response(
                {"user": request.user.get_username() if request.user else request.auth.application.client_id}
            )

    return Whoami.as_view()
