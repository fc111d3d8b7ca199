"""Find the place in a view where the idempotency key is claimed. ``execution`` claims it there.

Note [Inside every check]
    A replay does not run the handler, so it must pass each check that stands before the handler. securecore therefore
    claims the key inside all checks, and never guesses where the checks end. There are two places:

    - The function directly under ``@idempotent``. Every other decorator stands outside: below ``@idempotent`` it is
      ``Misuse`` at import.
    - A handler of a class-based view, if the class has ``@idempotent`` or ``IdempotencyMiddleware`` runs. The class
      checks in ``dispatch``: authentication, permissions and throttles of REST framework, mixins of Django. Decorators
      around ``dispatch`` and around the view run before that. ``dispatch`` then looks the handler up on its instance,
      so securecore puts the handler, wrapped in the claim, on the instance.

    A decorator on the handler of such a class may be a check, for example ``login_required``, and a claim around the
    handler would be outside that check. So the handler must be a method as a class body defines it
    (``is_as_defined``). Any other handler refuses the key, unless it has ``@idempotent`` under its decorators.

    A view function has no class that defines it, so nothing distinguishes the function from a decorator around it. The
    middleware refuses each key for a view function without ``@idempotent``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType

from django.http.response import HttpResponseBase
from django.views import View as DjangoView

from securecore.errors import IdempotencyNotSupported
from securecore.http.async_views import finished, in_form_of
from securecore.http.edge.request_body import body_digest
from securecore.http.idempotency.execution import run_under_key
from securecore.http.idempotency.policy import Policy
from securecore.http.request import AnyRequest, View, django_request
from securecore.http.view_arguments import rest_view

#: The attribute that ``@idempotent`` sets on the function that it returns. ``functools.wraps`` copies attributes, so
#: the decorators outside ``@idempotent`` have it too. A decorator without ``wraps`` hides it: the key is refused.
_MARK = "securecore_idempotent"


def mark_claims_key(view: View, policy: Policy) -> None:
    """Mark ``view`` as a function that claims the key itself, inside all its checks."""
    setattr(view, _MARK, policy)


def claims_key(view: object) -> bool:
    """Return whether ``view``, a function or handler, has ``@idempotent`` under its decorators."""
    return hasattr(view, _MARK)


def class_of(view: object) -> type[DjangoView] | None:
    """Return the class of a view that ``as_view()`` or ``@api_view`` created; None for a view function."""
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return cls if isinstance(cls, type) and hasattr(cls, "dispatch") else None


def is_declared(cls: type[DjangoView]) -> bool:
    """Return whether a class-based view, or a class that it inherits from, has ``@idempotent``."""
    return any(claims_key(vars(each).get("dispatch")) for each in cls.__mro__)


def accepts_key(cls: type[DjangoView], handler: object) -> bool:
    """Return whether ``handler`` of the class-based view ``cls`` has a place for the claim."""
    return claims_key(handler) or is_as_defined(cls, handler)


def is_as_defined(cls: type[DjangoView], handler: object) -> bool:
    """Return whether ``handler`` is a method as ``cls``, or a class that it inherits from, defines it.

    The function that a decorator returned was compiled in that decorator: its code is named ``check.<locals>.wrapper``
    and not ``Transfers.post``, also if the decorator copied the names of the handler, as ``functools.wraps`` does.
    """
    function: object = getattr(handler, "__func__", handler)
    if type(function) is not FunctionType:
        return False
    name, full_name = function.__code__.co_name, function.__code__.co_qualname
    return any(vars(each).get(name) is function and full_name == f"{each.__qualname__}.{name}" for each in cls.__mro__)


def claim_in_handlers(cls: type[DjangoView], policy_for: Callable[[AnyRequest], Policy | None]) -> View:
    """Wrap ``dispatch`` of ``cls``, so that its handlers run under the key, and return the new ``dispatch``.

    ``policy_for`` returns the policy for a request, or None for a request that runs without a key.
    """
    dispatch = cls.dispatch

    @wraps(dispatch)
    def dispatch_under_key(self: DjangoView, request: AnyRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        policy = policy_for(request)
        if policy is not None and policy.applies_to(request):
            _claim_around_handler(self, request, policy)
        return dispatch(self, request, *args, **kwargs)

    cls.dispatch = dispatch_under_key  # type: ignore[method-assign]
    return dispatch_under_key


def _claim_around_handler(instance: DjangoView, request: AnyRequest, policy: Policy) -> None:
    """Wrap the handler that ``instance`` has for ``request``. ``dispatch`` calls the wrapper after all checks."""
    if isinstance(policy.fingerprint, tuple) and "body" in policy.fingerprint:
        body_digest(django_request(request))  # a permission may parse the body before the fingerprint needs it
    name = str(request.method).lower()
    if name not in getattr(instance, "http_method_names", [name]):
        return  # a method such as CHECK_PERMISSIONS names no handler, and dispatch() responds with 405
    handler = getattr(instance, name, None)
    if handler is None:
        raise IdempotencyNotSupported  # a dispatch() that calls no handler would ignore the key
    if claims_key(handler):
        return

    def keyed(request: AnyRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not is_as_defined(type(instance), handler):
            raise IdempotencyNotSupported
        api_view = rest_view(request, instance)
        return run_under_key(policy, request, api_view, lambda: finished(handler(request, *args, **kwargs)))

    decorated = in_form_of(handler, keyed)
    mark_claims_key(decorated, policy)
    setattr(instance, name, decorated)
