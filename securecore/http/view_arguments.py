"""Find the request, and REST framework's view, among the positional arguments of a decorated view."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore.errors import Misuse


def request_of(arguments: tuple[object, ...]) -> tuple[object | None, HttpRequest | Request]:
    """Return ``(class-based view or None, request)`` from a view's positional arguments."""
    if arguments and isinstance(arguments[0], (HttpRequest, Request)):
        return None, arguments[0]
    if len(arguments) > 1 and isinstance(arguments[1], (HttpRequest, Request)):
        return arguments[0], arguments[1]
    raise Misuse("This decorator goes on a view function, on a handler method, or with method_decorator on dispatch().")


def require_function(view: object, *, decorator: str, on_class: str) -> None:
    """Raise ``Misuse`` for a class, which would become a function without ``as_view()``. ``on_class`` is the remedy."""
    if isinstance(view, type):
        raise Misuse(f"{decorator} goes on a view function or on a handler method. For {view.__name__} {on_class}.")


def rest_view(request: HttpRequest | Request, instance: object) -> APIView | None:
    """Return the REST framework view of ``request``, or None for a plain Django view.

    The handler may be a bound method or a function under @api_view.
    """
    if isinstance(request, Request):
        view: APIView | None = (request.parser_context or {}).get("view")
        return view
    return instance if isinstance(instance, APIView) else None
