"""Find the handler inside a view of Django or REST framework, and claim the idempotency key around it.

``execution`` runs the handler. This module decides where the key is claimed.

Note [Inside every check]
    A replay must pass each check that stands before the handler. So securecore claims the key around the handler
    itself, never around ``dispatch`` or the URL's view. Authentication, permissions and throttles of REST framework,
    Django's mixins (which check in ``dispatch``) and decorators around the view all run before the claim. A decorator
    *on* the handler might be a check too, and securecore cannot distinguish a check from a harmless decorator:

    - securecore's own decorators claim the key inside themselves.
    - A decorator of ``django.views.decorators`` makes no check that a replay must pass.
    - Under any other decorator the key is refused. The remedy is to write @idempotent under that decorator.

Note [Decorators that cannot be seen]
    ``functools.wraps`` records the function that a decorator wraps. Without ``wraps`` a decorator looks like a handler.
    But the decorator holds the view that it calls: in its closure, in a default of an argument, or as an attribute of
    an object. So the key is refused for a callable that is no plain function, and for a function that holds another
    callable in its closure or defaults. A view that a factory returns counts as a handler if its closure holds plain
    values only. A decorator that finds its view in a global variable cannot be distinguished from a handler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import CellType, FunctionType
from typing import Any

from rest_framework.request import Request

from securecore.errors import IdempotencyNotSupported
from securecore.http.idempotency.execution import once
from securecore.http.idempotency.policy import Policy
from securecore.http.request import state_of
from securecore.http.view_arguments import request_of

_HARMLESS = "django.views.decorators."
_API_VIEW = "rest_framework.decorators"

View = Callable[..., Any]


def takes_key(view: View) -> bool:
    """Return whether ``view`` is, or contains, a securecore decorator that claims the key at the right place."""
    return any(getattr(each, "securecore_takes_key", False) for each in _layers(view))


def hides_a_check(view: View) -> bool:
    """Return whether a replay might skip a check in a decorator around ``view`` (Note [Inside every check])."""
    *around, handler = _layers(view)
    if _might_wrap(handler) or not all(isinstance(each, FunctionType) for each in around):
        return True
    return any(not _home(each).startswith((_HARMLESS, _API_VIEW)) for each in around)


def _might_wrap(handler: View) -> bool:
    """Return whether ``handler`` might be a decorator (Note [Decorators that cannot be seen])."""
    if not isinstance(handler, FunctionType):
        return True
    cells = zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True)
    values = [_content(cell) for name, cell in cells if name != "__class__"]  # super() adds __class__
    values += [*(handler.__defaults__ or ()), *(handler.__kwdefaults__ or {}).values()]
    return any(callable(value) for value in values)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _layers(view: View) -> list[View]:
    """Return ``view`` and the functions that it wraps, from the outside to the inside."""
    # Unwrap only a handler that is bound to its class-based view. Any other object might hold a view of its own.
    layers = [view.__func__ if hasattr(getattr(view, "__self__", None), "dispatch") else view]  # type: ignore[attr-defined]
    while (inner := _wrapped(layers[-1])) is not None:
        layers.append(inner)
    return layers


def _wrapped(view: View) -> View | None:
    if _home(view) == _API_VIEW:  # the handler that @api_view builds from a function
        code: Any = view.__code__
        cells = dict(zip(code.co_freevars, view.__closure__ or (), strict=True))
        return cells["func"].cell_contents if "func" in cells else None
    return getattr(view, "__wrapped__", None)


def _home(view: View) -> str:
    """Return the module that defines the code of ``view``.

    ``view.__module__`` does not tell: ``functools.wraps`` copies it from the wrapped function.
    """
    return str(getattr(view, "__globals__", {}).get("__name__", ""))


def under_key(view: View, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call ``view``, under the key if the middleware or an outer decorator has delegated the claim (``delegate``)."""
    instance, request = request_of(args)
    policy = state_of(request).idempotency_policy
    if policy is None or takes_key(view):
        return view(*args, **kwargs)
    return _claimed(policy, view, rest_view(request, instance), request, lambda: view(*args, **kwargs))


def delegate(request: Any, policy: Policy) -> None:
    """Delegate the claim of the key to the innermost decorator of securecore."""
    state_of(request).idempotency_policy = policy


def _claimed(policy: Policy, view: View, api_view: Any, request: Any, call: Callable[[], Any]) -> Any:
    if policy.applies_to(request) and hides_a_check(view):
        raise IdempotencyNotSupported
    return once(policy, request, api_view, call)


def rest_view(request: Any, instance: Any) -> Any:
    """Return the REST framework view of ``request``, or None for a plain Django view.

    The handler may be a bound method or a function under @api_view.
    """
    if isinstance(request, Request):
        return (request.parser_context or {}).get("view")
    return instance if hasattr(instance, "handle_exception") else None


def guard_class(cls: type[Any]) -> None:
    """Wrap ``dispatch`` of the class-based view ``cls``, so that its handlers run under an idempotency key.

    The key is used only for a request with a policy (``RequestState.idempotency_policy_of_class``).
    """
    if "securecore_guards_handlers" in cls.__dict__:
        return
    dispatch = cls.dispatch

    @wraps(dispatch)
    def guarded(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        policy = state_of(request).idempotency_policy_of_class
        if policy is not None:
            guard_handler(self, request, policy)
        return dispatch(self, request, *args, **kwargs)

    cls.dispatch = guarded
    cls.securecore_guards_handlers = True


def guard_handler(instance: Any, request: Any, policy: Policy) -> None:
    """Wrap the handler that ``instance`` has for ``request``. ``dispatch`` calls the wrapper after all checks."""
    name = str(request.method).lower()
    handler = getattr(instance, name, None)
    if handler is None or not policy.applies_to(request):
        return
    if isinstance(policy.fingerprint, tuple) and "body" in policy.fingerprint:
        # Django keeps the body after this first read, so a permission may parse it before the fingerprint needs it.
        request.body  # noqa: B018

    @wraps(handler)
    def keyed(request: Any, *args: Any, **kwargs: Any) -> Any:
        if takes_key(handler):
            delegate(request, policy)
            return handler(request, *args, **kwargs)
        api_view = rest_view(request, instance)
        return _claimed(policy, handler, api_view, request, lambda: handler(request, *args, **kwargs))

    keyed.securecore_takes_key = True  # type: ignore[attr-defined]
    setattr(instance, name, keyed)
