"""The decorators of a view: ``@fresh``, ``@requires(permission)``, ``@idempotent``, in this order from the outside.

Put each decorator on a Django view function or on a REST framework handler method::

    class Transfers(APIView):
        @requires("transfers.create")
        @idempotent
        def post(self, request): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import Http404
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotFound

from securecore import clock, grants
from securecore.caller import Caller
from securecore.durations import check_seconds
from securecore.errors import Misuse
from securecore.http.async_views import finished, in_form_of
from securecore.http.authorization.amounts import sent_amount
from securecore.http.authorization.caller import caller_of
from securecore.http.authorization.effects import completed, is_replay, naming_transaction_mistakes, roll_back_error
from securecore.http.edge.request_body import receive_body
from securecore.http.freshness.fresh import FreshMixin, fresh
from securecore.http.idempotency import idempotency_exempt, idempotent
from securecore.http.permissions import late_gate, require_recent_authentication
from securecore.http.request import AnyRequest, AnyView, django_request
from securecore.http.view_arguments import request_of, require_function, rest_view
from securecore.observe import observing, require_observable

#: A view function, a handler method, or a class-based view.
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

__all__ = ["FreshMixin", "fresh", "idempotency_exempt", "idempotent", "observe", "recently_authenticated", "requires"]


def requires(
    permission: str,
    *,
    obj: Callable[..., Any] | None = None,
    consume: Callable[..., int] | None = None,
    late: bool = False,
) -> Callable[[AnyView], AnyView]:
    """Run the view only if the caller holds ``permission`` at the instant the view's effects commit; 403 otherwise.

    ``obj`` and ``consume`` are called with the request and the view's other arguments. ``obj`` returns the object of
    the permission. If ``obj`` raises ``Http404`` or ``DoesNotExist``, a caller with the permission on all objects gets
    a 404, and each other caller gets a 403. ``consume`` returns the part of a limited amount that this request
    consumes.

    The decorator receives the request body. ``grants.allowed`` then opens the view's transaction, enters the caller's
    gate and reads the grant. With ``late`` it takes the gate at the end of a long view (``grants.late_gate``). An error
    response rolls the transaction back. Inside ``@idempotent`` the decorator raises ``Misuse``, because a replay would
    skip the check. A replay consumes nothing.
    """
    if callable(permission):
        raise Misuse('@requires needs the name of a permission: @requires("transfers.create").')
    grants.require_permission(permission)

    def decorate(view: AnyView) -> AnyView:
        on_class = f'write it on each handler, or @method_decorator(requires("{permission}"), name="dispatch")'
        require_function(view, decorator="@requires", on_class=on_class)

        def authorized(*args: Any, **kwargs: Any) -> HttpResponseBase:
            api_view, request = request_of(args)
            arguments = [request, *args[1 if api_view is None else 2 :]]
            caller = caller_of(request)
            receive_body(django_request(request))
            target = None if obj is None else _target(caller, permission, lambda: obj(*arguments, **kwargs))

            def amount() -> int | None:
                return None if consume is None else sent_amount(lambda: consume(*arguments, **kwargs))

            def response() -> Any:
                with naming_transaction_mistakes("@requires"):
                    returned = finished(view(*args, **kwargs))
                    return completed(returned, "@requires", request=request, api_view=rest_view(request, api_view))

            if late:
                return _run_late(request, permission, target, amount, response)
            return _run(caller, permission, target, amount, response)

        decorated = in_form_of(view, authorized)
        decorated.securecore_requires = permission  # type: ignore[attr-defined]
        return login_not_required(decorated)  # the caller of a certificate or token has no login

    return decorate


def _run(
    caller: Caller,
    permission: str,
    obj: Model | None,
    amount: Callable[[], int | None],
    view: Callable[[], HttpResponseBase],
) -> HttpResponseBase:
    allowed = grants.allowed(caller.principals, permission, obj, conditions=caller.conditions, clock=clock.now)
    with allowed as decision:
        response = view()
        if not roll_back_error(response) and not is_replay(response):
            decision.spend(amount=amount(), now=clock.now())
        return response


def _run_late(
    request: AnyRequest,
    permission: str,
    obj: Model | None,
    amount: Callable[[], int | None],
    view: Callable[[], HttpResponseBase],
) -> HttpResponseBase:
    with late_gate(request) as late:
        late.require(permission, obj, consume=amount())
        response = view()
        if roll_back_error(response):
            late.abandon()
        elif is_replay(response):
            late.spend_nothing()
        return response


def _target(caller: Caller, permission: str, find: Callable[[], Model | None]) -> Model | None:
    """Return the object of a permission.

    For a missing object the caller needs the permission on all objects. Otherwise the response is a 403, as for an
    existing object, so that the caller does not learn which objects exist.
    """
    try:
        return find()
    except (Http404, NotFound, ObjectDoesNotExist) as missing:
        with grants.allowed(caller.principals, permission, conditions=caller.conditions, clock=clock.now):
            pass
        if isinstance(missing, ObjectDoesNotExist):
            raise Http404 from missing
        raise


def observe(*protections: str) -> Callable[[Decorated], Decorated]:
    """Let these protections of a view only observe: ``@observe("permissions", "freshness", "idempotency-keys")``.

    A request that one of them would refuse is recorded (event ``WouldRefuse``), and passes. Write the decorator
    outermost, on a function, a handler, or a class-based view. A request with a forged or ended credential, a repeated
    nonce, and another request under a used idempotency key are refused all the same. Raises ``Misuse`` for a protection
    that cannot observe.
    """
    observed = require_observable(*protections)

    def decorate(view: Any) -> Any:
        if isinstance(view, type):
            handler: Any = view.dispatch  # type: ignore[attr-defined]
            view.dispatch = decorate(handler)  # type: ignore[attr-defined]
            view.securecore_observes = observed  # type: ignore[attr-defined]
            return view

        def observed_view(*args: Any, **kwargs: Any) -> Any:
            with observing(observed):
                return finished(view(*args, **kwargs))

        decorated: Any = in_form_of(view, observed_view)
        decorated.securecore_observes = observed
        return decorated

    return decorate


def recently_authenticated(*, within: float) -> Callable[[AnyView], AnyView]:
    """Run the view only if the session's user logged in or stepped up within the last ``within`` seconds; 401 if not.

    Use it for actions that a stolen open session must not allow, for example changing a password, a key or a payee
    (ASVS 5.0 v5.0.0-7.5.1). The check reads the time of the login from the database at each request.
    """
    check_seconds("@recently_authenticated(within=)", within)

    def decorate(view: AnyView) -> AnyView:
        def recent(*args: Any, **kwargs: Any) -> Any:
            _, request = request_of(args)
            require_recent_authentication(request, within=within)
            return finished(view(*args, **kwargs))

        return in_form_of(view, recent)

    return decorate
