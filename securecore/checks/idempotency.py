from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage, Warning

from securecore.checks import middleware
from securecore.http.idempotency.claim_place import accepts_key, claims_key, class_of, is_declared
from securecore.http.idempotency.middleware import IdempotencyMiddleware, is_exempt
from securecore.http.request import SAFE_METHODS, View
from securecore.http.urlconf import callbacks

#: The number of views that the text of the warning names.
_SHOWN = 5


def w502_views_without_keys(**_: object) -> list[CheckMessage]:
    """Report views that refuse each ``Idempotency-Key``, because no place for the claim is known."""
    has_middleware = middleware.position(IdempotencyMiddleware) is not None
    names = sorted({name for view in callbacks() for name in _refusing(view, has_middleware=has_middleware)})
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [
        Warning(
            f"A request with an Idempotency-Key is refused by {', '.join(names[:_SHOWN])}{more}: a replay could skip "
            f"the checks of a decorator.",
            hint="Write @idempotent directly on the function or handler, under all its decorators, or "
            "@idempotency_exempt on the view. For @api_view write both: @idempotent under it, @idempotency_exempt "
            "above it.",
            id="securecore.W502",
        )
    ]


def _refusing(view: View, *, has_middleware: bool) -> Iterator[str]:
    """Yield the name of the view function, or of each handler of the class, that refuses a key."""
    cls = class_of(view)
    if cls is None:
        module = str(getattr(view, "__module__", "?"))
        # Clients send no key to the pages of Django, for example the admin, and to the metadata of securecore.
        is_expected = module.startswith(("django.", "securecore."))
        if has_middleware and not (is_expected or claims_key(view) or is_exempt(view, cls)):
            yield f"{module}.{getattr(view, '__qualname__', type(view).__name__)}"
    elif is_declared(cls) or (has_middleware and not is_exempt(view, cls)):
        for name in _handler_names(view, cls.http_method_names):
            handler = getattr(cls, name, None)
            if handler is not None and not accepts_key(cls, handler):
                yield f"{cls.__module__}.{cls.__name__}.{name}"


def _handler_names(view: View, methods: Sequence[str]) -> Iterator[str]:
    """Yield the names of the handlers of unsafe methods; of a viewset, the names of its actions."""
    actions = getattr(view, "actions", None) or {method: method for method in methods}
    yield from (name for method, name in actions.items() if method.upper() not in SAFE_METHODS)


CHECKS = (w502_views_without_keys,)
