from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from securecore.checks.urlconf import callbacks
from securecore.conf import django_settings
from securecore.http.idempotency.middleware import IdempotencyMiddleware
from securecore.http.idempotency.views import hides_a_check, takes_key


def _middleware() -> list[type[Any]]:
    imported = []
    for name in django_settings.MIDDLEWARE:
        with suppress(ImportError):  # Django itself reports the name
            imported.append(import_string(name))
    return [item for item in imported if isinstance(item, type)]


def _place(middleware: list[type[Any]]) -> int | None:
    return next((n for n, item in enumerate(middleware) if issubclass(item, IdempotencyMiddleware)), None)


def e501_middleware_last(**_: Any) -> list[CheckMessage]:
    """Report middleware behind ``IdempotencyMiddleware``.

    ``IdempotencyMiddleware`` may call a view itself. Then Django skips the ``process_view`` of each later middleware.
    """
    middleware = _middleware()
    place = _place(middleware)
    if place is None:
        return []
    skipped = [later.__name__ for later in middleware[place + 1 :] if hasattr(later, "process_view")]
    if not skipped:
        return []
    return [
        Error(
            f"Requests with an Idempotency-Key would skip process_view of {', '.join(skipped)}.",
            hint="Put IdempotencyMiddleware last in MIDDLEWARE, before RefusalMiddleware.",
            id="securecore.E501",
        )
    ]


def w502_views_without_keys(**_: Any) -> list[CheckMessage]:
    if _place(_middleware()) is None:
        return []
    names = sorted({_name(view) for view in callbacks() if not _is_served(view)})
    if not names:
        return []
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [
        Warning(
            f"A request with an Idempotency-Key is refused by {', '.join(names[:5])}{more}: a replay could slip past "
            f"the decorators.",
            hint="Write @idempotent under the last decorator that checks, or @idempotency_exempt.",
            id="securecore.W502",
        )
    ]


def _is_served(view: Any) -> bool:
    is_class = hasattr(view, "view_class") or hasattr(view, "cls")
    is_exempt = getattr(view, "idempotency_exempt", False)
    # Clients send no key to the pages of Django's own apps, for example the admin.
    is_django_s = str(getattr(view, "__module__", "")).startswith("django.")
    return is_class or is_exempt or is_django_s or takes_key(view) or not hides_a_check(view)


def _name(view: Any) -> str:
    return f"{getattr(view, '__module__', '?')}.{getattr(view, '__qualname__', type(view).__name__)}"


CHECKS = (e501_middleware_last, w502_views_without_keys)
