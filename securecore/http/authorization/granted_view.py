"""``GrantedView`` and ``HasGrant``: check and effect of a REST framework view are one transaction.

Plain Django views use ``@requires`` (``http.decorators``). ``securecore.grants`` decides the permission.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore import clock, database, grants
from securecore.caller import Caller
from securecore.conf import settings
from securecore.errors import AuthenticationRequired, Misuse, PermissionDenied
from securecore.grants import Decision, Judge, require_permission
from securecore.http.authorization.action_names import (
    UNNAMED,
    Grants,
    action_of,
    has_requires,
    permission_for,
    permissions_of_class,
    require_grants,
    unknown_names,
)
from securecore.http.authorization.amounts import sent_amount
from securecore.http.authorization.caller import caller_of
from securecore.http.authorization.effects import completed, is_replay, naming_transaction_mistakes, roll_back_error
from securecore.http.edge.request_body import receive_body
from securecore.http.idempotency.recorded_checks import note_permission
from securecore.http.request import django_request


class HasGrant(BasePermission):
    """Require a permission of the caller: ``permission_classes = [HasGrant("transfers.create")]`` in a ``GrantedView``.

    If the URL names one object, the permission is required on the object that ``get_object()`` returns.
    """

    def __init__(self, permission: str) -> None:
        self.permission = require_permission(permission)

    def __call__(self) -> HasGrant:
        """Return this instance. REST framework calls each entry of ``permission_classes`` to create an instance."""
        return self

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(view, GrantedView):
            raise Misuse("HasGrant needs a view whose check and effect are one transaction: class V(GrantedView, ...).")
        # For a URL that names one object, get_object() checks the permission on that object.
        if view.is_about_one_object():
            view.owe(request, self.permission)
        else:
            view.decide(request, self.permission)
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Model) -> bool:
        view.decide(request, self.permission, obj)
        return True


class GrantedView:
    """Make check and effect of a REST framework view one transaction, which an error response rolls back.

    List ``GrantedView`` as the first base class: ``class Transfers(GrantedView, ModelViewSet)``. ``grants`` names the
    permission of each action or method, with None for an action that needs no grant. An action that ``grants`` does
    not name is refused (``Misuse``), unless its ``permission_classes`` hold a ``HasGrant`` or its handler has
    ``@requires``. See "In views" in docs/grants.md.

    The caller is authenticated and the request body received before the transaction begins.
    """

    grants: ClassVar[Grants] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        require_grants(cls.__name__, cls.grants)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view: Any = self
        _require_known_names(view.__class__, frozenset(self.grants), getattr(view, "action_map", None) is not None)
        self._decisions: list[Decision] = []
        self._owed: dict[str, None] = {}
        self._judge: Judge | None = None
        self._method = ""
        self._has_response = False
        with ExitStack() as self._transaction:
            response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
            self._has_response = True
            return self._settled(response)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate and check as REST framework does. Raises ``Misuse``, before the handler has any effect, if the
        checks of this class were left out.
        """
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        self._require_begun()

    def check_permissions(self, request: Request) -> None:
        """Check REST framework's permissions, then the grant that this action or method needs."""
        self._begin(request)
        super().check_permissions(request)  # type: ignore[misc]
        permission = self._named(request)
        if permission is not None and not self.is_about_one_object():
            self.decide(request, permission)

    def check_object_permissions(self, request: Request, obj: Model) -> None:
        """Check REST framework's permissions on the object, then the grant that this action or method needs on it."""
        super().check_object_permissions(request, obj)  # type: ignore[misc]
        permission = self._named(request)
        if permission is not None:
            self.decide(request, permission, obj)

    def handle_exception(self, error: Exception) -> Any:
        """Build the error response as REST framework does, but do not reveal which objects exist."""
        view: Any = self
        if isinstance(error, (Http404, exceptions.NotFound)) and self._method and not self._decisions:
            try:
                self._require_on_all(view.request)
            except PermissionDenied as refusal:
                error = refusal
        with naming_transaction_mistakes("GrantedView"):
            return super().handle_exception(error)  # type: ignore[misc]

    def decide(self, request: Request, permission: str, obj: Model | None = None) -> None:
        """Raise ``PermissionDenied`` (403) unless the caller holds ``permission`` until the transaction ends."""
        if self._has_response or request.method != self._method:
            self._decide_for_show(request, permission, obj)
            return
        decision = self._decision(request, permission, obj)
        decision.require()
        self._decisions.append(decision)
        note_permission(django_request(request), permission, obj)

    def owe(self, request: Request, permission: str) -> None:
        """Note that ``permission`` must be checked on the object of this request before the transaction ends."""
        if request.method == self._method and not self._has_response:  # else see _decide_for_show
            self._owed[permission] = None

    def consumed(self, request: Request) -> int | None:
        """Return the amount that this request consumes. Override this method if grants limit amounts."""
        return None

    def is_about_one_object(self) -> bool:
        """Return whether the URL names one object."""
        view: Any = self
        return (
            getattr(view, "lookup_url_kwarg", None) in view.kwargs or getattr(view, "lookup_field", "") in view.kwargs
        )

    def _begin(self, request: Request) -> None:
        """Receive the body, open the transaction and enter the gates of the caller.

        The body is received first, so that the transaction never waits for the client. The caller is identified before
        the body is received, so that a client without credentials cannot occupy a thread by sending slowly.
        """
        if self._method:
            return
        view: Any = self
        named = self._named(request)
        permissions = [*(grant.permission for grant in self._own_grants()), *([named] if named else [])]
        caller = self._caller(request) if permissions else None
        receive_body(django_request(request))
        self._transaction.enter_context(database.outermost_transaction("GrantedView"))
        self._method = str(request.method)
        # A HasGrant inside ``A & B`` or ``A | B`` is owed only after its has_permission() has run: of ``A | B``, A may
        # suffice.
        own = [each.permission for each in view.get_permissions() if isinstance(each, HasGrant)]
        self._owed = dict.fromkeys([*own, *([named] if named else [])])
        # The gates are entered here and not in the handler. @idempotent may run the handler in a savepoint, and a
        # rollback to that savepoint would release a gate that was entered in it.
        if caller is not None:
            self._judge = grants.judge(caller.principals, permissions, conditions=caller.conditions, clock=clock.now)

    def _caller(self, request: Request) -> Caller:
        view: Any = self
        try:
            return caller_of(request)
        except AuthenticationRequired:
            return view.permission_denied(request)  # type: ignore[no-any-return]  # raises REST framework's 401

    def _decision(self, request: Request, permission: str, obj: Model | None = None) -> Decision:
        if self._judge is not None and request.method == self._method and self._judge.knows(permission):
            return self._judge.decide(permission, obj)
        caller = caller_of(request)
        return grants.decide(caller.principals, permission, obj, conditions=caller.conditions, clock=clock.now)

    def _named(self, request: Request) -> str | None:
        """Return the permission that ``grants`` names for this action, or None.

        Raises ``Misuse`` for an action that ``grants`` does not name.
        """
        view: Any = self
        actions = getattr(view, "action_map", None)
        method = str(request.method).lower()
        permission = permission_for(self.grants, method, actions)
        if permission is not UNNAMED:
            return permission
        handler = getattr(view, method, None) if method in view.http_method_names else None
        if handler is None or has_requires(handler) or self._own_grants():
            return None
        if method == "options":
            raise exceptions.MethodNotAllowed(method.upper())
        name = action_of(method, actions)
        raise Misuse(
            f"{type(self).__name__}.grants names no permission for {name!r}, so the request is refused. Write "
            f'{name!r}: "app.permission", or {name!r}: None if it needs no grant.'
        )

    def _own_grants(self) -> list[HasGrant]:
        view: Any = self
        return list(permissions_of_class(view.get_permissions(), HasGrant))

    def _require_begun(self) -> None:
        if not self._method:
            raise Misuse(f"{type(self).__name__}.check_permissions() must call super().check_permissions(request).")

    def _require_on_all(self, request: Request) -> None:
        """Require the permissions on all objects, for a request about an object that does not exist.

        A caller that lacks a permission on all objects gets a 403, as for an object that exists. So the difference
        between 404 and 403 does not reveal which objects exist.
        """
        for permission in self._owed:
            self._decision(request, permission).require()
            note_permission(django_request(request), permission, None)

    def _decide_for_show(self, request: Request, permission: str, obj: Model | None) -> None:
        """Raise REST framework's ``PermissionDenied`` unless the caller holds ``permission``; consume no grant.

        REST framework checks other methods than the request's to show forms and metadata, and expects its own
        exception.
        """
        is_open = database.connection().in_atomic_block and not transaction.get_rollback(using=settings.DATABASE)
        if not is_open or not grants.decide(caller_of(request).principals, permission, obj, clock=clock.now):
            raise exceptions.PermissionDenied

    def _settled(self, response: HttpResponseBase) -> Any:
        view: Any = self
        if self._method and roll_back_error(response):
            return response
        if response.status_code < 400:
            self._require_begun()
        if not is_replay(response):
            if not self._owed.keys() <= {decision.permission for decision in self._decisions}:
                raise Misuse(
                    f"{type(self).__name__} handled one object and never checked the caller's permission on it: fetch "
                    f"the object with get_object(), or call self.check_object_permissions(request, obj)."
                )
            for decision in self._decisions:
                decision.spend(amount=sent_amount(lambda: self.consumed(view.request)), now=clock.now())
        return completed(response, "GrantedView")


@lru_cache(maxsize=1024)
def _require_known_names(view: type[APIView], names: frozenset[str], is_viewset: bool) -> None:
    if unknown := unknown_names(view, dict.fromkeys(names), {} if is_viewset else None):
        raise Misuse(
            f"{view.__name__}.grants names {', '.join(map(repr, sorted(unknown)))}, which is no action of this view, "
            f"so the entry guards nothing. In a viewset use the action's name (destroy, not delete); elsewhere use "
            f"the method's name."
        )
