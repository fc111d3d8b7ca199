"""Permissions of a request: ``authorize()`` for the request at hand, and REST framework's permission classes."""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractContextManager

from django.db.models import Model
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore import clock, grants
from securecore.caller import Caller
from securecore.durations import check_seconds
from securecore.errors import Misuse, RecentAuthenticationRequired
from securecore.grants import Decision, LateGate
from securecore.grants.principals import names_of
from securecore.http.async_views import refuse_event_loop
from securecore.http.authorization.caller import caller_of
from securecore.http.authorization.granted_view import GrantedView, HasGrant
from securecore.http.edge.request_body import receive_body
from securecore.http.idempotency.recorded_checks import note_permission
from securecore.http.request import AnyRequest, django_request
from securecore.http.sessions.session_user import user_beside
from securecore.sessions import SessionStore

__all__ = [
    "GrantedView",
    "HasGrant",
    "RecentlyAuthenticated",
    "authorize",
    "late_gate",
]

#: A request, or a principal, or all principals of one caller.
Requester = AnyRequest | str | tuple[str, ...]


def authorize(
    caller: Requester, permission: str, obj: Model | None = None, *, consume: int | None = None
) -> AbstractContextManager[Decision]:
    """Run a block only if the caller, a request or a principal, holds ``permission`` when the block commits.

    ::

        with authorize(request, "transfers.create", account, consume=amount):
            Transfer.objects.create(...)

    The request body is received before the gate is taken. Build the response inside the block. See
    ``grants.authorize`` for the exceptions.
    """
    checked = _caller(caller, "authorize()")
    _note_permission(caller, permission, obj)
    return grants.authorize(
        checked.principals, permission, obj, conditions=checked.conditions, consume=consume, clock=clock.now
    )


def late_gate(caller: Requester) -> AbstractContextManager[LateGate]:
    """Run a long block of a request or a principal, and enter the gate at its end; see ``grants.late_gate``."""
    checked = _caller(caller, "late_gate()")
    return grants.late_gate(
        checked.principals,
        conditions=checked.conditions,
        clock=clock.now,
        note=lambda permission, obj: _note_permission(caller, permission, obj),
    )


class RecentlyAuthenticated(BasePermission):
    """Require that the session's user logged in or stepped up within the last ``within`` seconds; else 401 (RFC 9470).

    ``permission_classes = [IsAuthenticated, RecentlyAuthenticated(within=300)]``. A certificate or a token is no recent
    authentication: a program can send either without the user being present.
    """

    def __init__(self, *, within: float) -> None:
        check_seconds("RecentlyAuthenticated(within=)", within)
        self.within = within

    def __call__(self) -> RecentlyAuthenticated:
        """Return this instance. REST framework calls each entry of ``permission_classes`` to create an instance."""
        return self

    def has_permission(self, request: Request, view: APIView) -> bool:
        require_recent_authentication(request, within=self.within)
        return True


def require_recent_authentication(request: AnyRequest, *, within: float) -> None:
    """Raise ``RecentAuthenticationRequired`` unless the database says that the session's user was there just now, and
    the session still logs this user in, the caller of the request.

    The row alone does not say so: it lives on after a change of the password, which ends the login in it.
    """
    session = request.session
    since = clock.now() - dt.timedelta(seconds=within)
    is_recent = isinstance(session, SessionStore) and _is_the_callers(request) and session.is_authenticated_since(since)
    if not is_recent:
        challenge = f'Session error="insufficient_user_authentication", max_age="{within:.0f}"'
        raise RecentAuthenticationRequired(headers={"WWW-Authenticate": challenge})


def _is_the_callers(request: AnyRequest) -> bool:
    user = user_beside(django_request(request))
    return user is not None and (not request.user.is_authenticated or request.user.pk == user.pk)


def _caller(requester: Requester, operation: str) -> Caller:
    """Return the caller of a request, after receiving its body; or the caller with this principal."""
    refuse_event_loop(operation)
    if not isinstance(requester, AnyRequest):
        if hasattr(requester, "get_username"):
            raise Misuse(
                "Pass the request: authorize(request, ...); without a request: authorize(principal_of(user), ...)."
            )
        return Caller(names_of(requester))
    caller = caller_of(requester)
    receive_body(django_request(requester))
    return caller


def _note_permission(requester: Requester, permission: str, obj: Model | None) -> None:
    if isinstance(requester, AnyRequest):
        note_permission(django_request(requester), permission, obj)
