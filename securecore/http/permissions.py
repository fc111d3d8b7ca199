"""What a request may do: ``authorize()`` for the request at hand, and REST framework's permissions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from securecore import clock, db, grants, identity
from securecore.conf import settings
from securecore.durations import check_seconds
from securecore.errors import Misuse, RecentAuthenticationRequired
from securecore.grants import Decision, LateGate, principals
from securecore.http.amounts import sent_amount
from securecore.http.callers import principal
from securecore.sessions import SessionStore
from securecore.tokens import AccessToken


def principals_of(request: Any) -> tuple[str, ...]:
    """Return the names by which the caller may have been granted something: its user, the service whose token it came
    with, its certificate. Raises ``AuthenticationRequired`` (401) for one that has none of them.
    """
    presented = request.client_certificate
    certificates = identity.identifiers(presented) if presented else ()
    token = getattr(request, "auth", None)
    services = (principals.service(token.client_id),) if isinstance(token, AccessToken) else ()
    named = tuple(principals.certificate(each) for each in certificates)
    if _is_nobody(request) and named:
        return named
    return (principal(request), *services, *named)


def authorize(
    caller: Any, permission: str, obj: Any = None, *, consume: int | None = None
) -> AbstractContextManager[Decision]:
    """Run a block only if the caller, a request or a principal, holds ``permission`` when the block commits.

    ::

        with authorize(request, "transfers.create", account, consume=amount):
            Transfer.objects.create(...)

    See ``grants.authorize`` for what it raises.
    """
    return grants.authorize(_caller(caller), permission, obj, consume=consume, clock=clock.now)


def late_gate(caller: Any) -> AbstractContextManager[LateGate]:
    """Run a long block of a request or a principal whose checks take the gate at its end; see ``grants.late_gate``."""
    return grants.late_gate(_caller(caller), clock=clock.now)


class HasGrant(BasePermission):
    """``permission_classes = [HasGrant("transfers.create")]`` in a view with ``GrantedView``: the caller holds this
    permission, on the object that ``get_object()`` returns if the view has one.
    """

    def __init__(self, permission: str) -> None:
        self.permission = permission

    def __call__(self) -> HasGrant:
        """REST framework makes an instance of every class it is given; this is one already."""
        return self

    def has_permission(self, request: Any, view: Any) -> bool:
        if not isinstance(view, GrantedView):
            raise Misuse("HasGrant needs a view whose check and effect are one transaction: class V(GrantedView, ...).")
        # Whoever may do this to one object only is asked about that object, by get_object().
        if not view.is_about_one_object():
            view.decide(request, self.permission)
        return True

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        view.decide(request, self.permission, obj)
        return True


class GrantedView:
    """Put it first: ``class Transfers(GrantedView, ModelViewSet)``. Makes check and effect of a REST framework view one
    transaction, which an error response rolls back.

    ``grants`` names the permission of each viewset action or method; what is not in it needs none. A view of one object
    is refused to who holds the permission on other objects only.
    """

    grants: ClassVar[Mapping[str, str]] = {}

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self._decisions: list[Decision] = []
        self._failed = False
        with db.outermost_transaction("GrantedView"):
            response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
            if not self._failed:
                self._settle(response)
        return response

    def get_permissions(self) -> list[Any]:
        """REST framework's, and the grant that this action or method needs."""
        needed = self._needed()
        return [*super().get_permissions(), *([HasGrant(needed)] if needed else [])]  # type: ignore[misc]

    def handle_exception(self, error: Exception) -> Any:
        """REST framework's, and nothing of the failed request stays."""
        self._failed = True
        response = super().handle_exception(error)  # type: ignore[misc]
        transaction.set_rollback(True, using=settings.DATABASE)
        return response

    def decide(self, request: Any, permission: str, obj: Any = None) -> None:
        """Raise ``PermissionDenied`` (403) unless the caller may, until the transaction ends."""
        decision = grants.decide(principals_of(request), permission, obj, clock=clock.now)
        decision.require()
        self._decisions.append(decision)

    def consumed(self, request: Any) -> int | None:
        """Return how much of a limited amount this request takes; override it where grants limit amounts."""
        return None

    def is_about_one_object(self) -> bool:
        view: Any = self
        return (
            getattr(view, "lookup_url_kwarg", None) in view.kwargs or getattr(view, "lookup_field", "") in view.kwargs
        )

    def _needed(self) -> str | None:
        view: Any = self
        return self.grants.get(getattr(view, "action", None) or view.request.method.lower())

    def _settle(self, response: Any) -> None:
        view: Any = self
        if any(isinstance(each, HasGrant) for each in view.get_permissions()) and not self._decisions:
            raise Misuse(
                f"{type(self).__name__} was about one object and never asked whether the caller may: fetch it with "
                f"get_object(), or call self.check_object_permissions(request, obj)."
            )
        if "Idempotency-Replayed" not in response:
            for decision in self._decisions:
                decision.spend(amount=sent_amount(lambda: self.consumed(view.request)), now=clock.now())


class RecentlyAuthenticated(BasePermission):
    """The session's user logged in or stepped up within the last ``within`` seconds; 401 otherwise (RFC 9470).

    ``permission_classes = [IsAuthenticated, RecentlyAuthenticated(within=300)]``. A certificate or token is no recent
    authentication: each is sent without anybody being there.
    """

    def __init__(self, *, within: float) -> None:
        check_seconds("RecentlyAuthenticated(within=)", within)
        self.within = within

    def __call__(self) -> RecentlyAuthenticated:
        """REST framework makes an instance of every class it is given; this is one already."""
        return self

    def has_permission(self, request: Any, view: Any) -> bool:
        require_recent_authentication(request, within=self.within)
        return True


def require_recent_authentication(request: Any, *, within: float) -> None:
    """Raise ``RecentAuthenticationRequired`` unless the database says that the session's user was there just now."""
    session = request.session
    since = clock.now() - dt.timedelta(seconds=within)
    if not (isinstance(session, SessionStore) and session.is_authenticated_since(since)):
        challenge = f'Session error="insufficient_user_authentication", max_age="{within:.0f}"'
        raise RecentAuthenticationRequired(headers={"WWW-Authenticate": challenge})


def _caller(caller: Any) -> str | tuple[str, ...]:
    return principals_of(caller) if isinstance(caller, (HttpRequest, Request)) else caller


def _is_nobody(request: Any) -> bool:
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
