"""Where the handler is in what Django and REST framework call a view.

Note [Inside every check]
    A replay must pass what guards the handler. So the key is claimed around the handler itself, never around
    ``dispatch`` or the URL's view: authentication, permissions and throttles of REST framework, Django's mixins
    (which check in ``dispatch``) and decorators around the view all come first. A decorator *on* the handler might be
    such a check too, and cannot be told from a harmless one. Ours take the key inside themselves; one of Django's
    ``django.views.decorators`` guards nothing that a replay gives away; for any other the key is refused, and the
    remedy is to write @idempotent under it.

Note [Decorators that cannot be seen]
    ``functools.wraps`` tells what a decorator wraps. Without it a decorator looks like a handler of its own. But the
    decorator needs the view that it calls: in its closure, in a default of an argument, or as an attribute of an
    object. So the key is refused for any callable that is no plain function, and for a function that holds another
    callable in one of these ways. A view that a factory makes is a handler if its closure holds plain values only. A
    decorator that finds its view in a global variable cannot be told from a handler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import CellType, FunctionType
from typing import Any

from rest_framework.request import Request

from securecore.errors import IdempotencyNotSupported
from securecore.http.authorization.callers import request_of
from securecore.http.idempotency.execution import once
from securecore.http.idempotency.policy import Policy

_HARMLESS = "django.views.decorators."
_API_VIEW = "rest_framework.decorators"

View = Callable[..., Any]


def takes_key(view: View) -> bool:
    """Say whether ``view`` is, or contains, a decorator of ours that claims the key at the right place."""
    return any(getattr(each, "securecore_takes_key", False) for each in _layers(view))


def hides_a_check(view: View) -> bool:
    """Say whether a decorator around ``view`` might be a check that a replay would not pass (Note [Inside every
    check]).
    """
    *around, handler = _layers(view)
    if _might_wrap(handler) or not all(isinstance(each, FunctionType) for each in around):
        return True
    return any(not _home(each).startswith((_HARMLESS, _API_VIEW)) for each in around)


def _might_wrap(handler: View) -> bool:
    """Say whether ``handler`` might be a decorator (Note [Decorators that cannot be seen])."""
    if not isinstance(handler, FunctionType):
        return True
    cells = zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True)
    held = [_content(cell) for name, cell in cells if name != "__class__"]  # which super() needs
    held += [*(handler.__defaults__ or ()), *(handler.__kwdefaults__ or {}).values()]
    return any(callable(each) for each in held)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _layers(view: View) -> list[View]:
    """``view`` and what it is wrapped around, from the outside."""
    # A handler that is bound to its class-based view. Any other object might hold a view of its own.
    layers = [view.__func__ if hasattr(getattr(view, "__self__", None), "dispatch") else view]  # type: ignore[attr-defined]
    while (inner := _wrapped(layers[-1])) is not None:
        layers.append(inner)
    return layers


def _wrapped(view: View) -> View | None:
    if _home(view) == _API_VIEW:  # the handler that @api_view makes of a function
        code: Any = view.__code__
        cells = dict(zip(code.co_freevars, view.__closure__ or (), strict=True))
        return cells["func"].cell_contents if "func" in cells else None
    return getattr(view, "__wrapped__", None)


def _home(view: View) -> str:
    """The module that the code of ``view`` is from; its ``__module__`` was copied from what it wraps."""
    return str(getattr(view, "__globals__", {}).get("__name__", ""))


def under_key(view: View, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call ``view``; under the key if it was left to us to claim it (``delegate``)."""
    instance, request = request_of(args)
    policy: Policy | None = getattr(request, "idempotency_policy", None)
    if policy is None or takes_key(view):
        return view(*args, **kwargs)
    return _claimed(policy, view, rest_view(request, instance), request, lambda: view(*args, **kwargs))


def delegate(request: Any, policy: Policy) -> None:
    """Leave it to the next decorator of ours that has nothing of ours inside to claim the key."""
    getattr(request, "_request", request).idempotency_policy = policy


def _claimed(policy: Policy, view: View, api_view: Any, request: Any, call: Callable[[], Any]) -> Any:
    if policy.applies_to(request) and hides_a_check(view):
        raise IdempotencyNotSupported
    return once(policy, request, api_view, call)


def rest_view(request: Any, instance: Any) -> Any:
    """Return REST framework's view of ``request``, also for a handler that was bound or is @api_view's; else None."""
    if isinstance(request, Request):
        return (request.parser_context or {}).get("view")
    return instance if hasattr(instance, "handle_exception") else None


def guard_class(cls: type[Any]) -> None:
    """Let the handlers of the class-based view ``cls`` run under the key of each request that has a policy
    (``request.idempotency_policy_of_class``).
    """
    if "securecore_guards_handlers" in cls.__dict__:
        return
    dispatch = cls.dispatch

    @wraps(dispatch)
    def guarded(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        policy: Policy | None = getattr(request, "idempotency_policy_of_class", None)
        if policy is not None:
            guard_handler(self, request, policy)
        return dispatch(self, request, *args, **kwargs)

    cls.dispatch = guarded
    cls.securecore_guards_handlers = True


def guard_handler(instance: Any, request: Any, policy: Policy) -> None:
    """Wrap the handler that ``instance`` has for ``request``; its ``dispatch`` calls it after all checks."""
    name = str(request.method).lower()
    handler = getattr(instance, name, None)
    if handler is None or not policy.applies_to(request):
        return
    if isinstance(policy.fingerprint, tuple) and "body" in policy.fingerprint:
        request.body  # noqa: B018 - kept, so that a permission that parses it leaves it for the fingerprint

    @wraps(handler)
    def keyed(request: Any, *args: Any, **kwargs: Any) -> Any:
        if takes_key(handler):
            delegate(request, policy)
            return handler(request, *args, **kwargs)
        api_view = rest_view(request, instance)
        return _claimed(policy, handler, api_view, request, lambda: handler(request, *args, **kwargs))

    keyed.securecore_takes_key = True  # type: ignore[attr-defined]
    setattr(instance, name, keyed)
