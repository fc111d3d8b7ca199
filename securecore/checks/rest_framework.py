from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from securecore.http import urlconf
from securecore.http.authentication import OwnAuthentication
from securecore.http.problems import exception_handler

_OURS = (
    "securecore.http.authentication.AccessTokenAuthentication",
    "securecore.http.authentication.DPoPAuthentication",
    "securecore.http.authentication.CertificateAuthentication",
)
_HANDLER = "securecore.http.problems.exception_handler"
_AUTHENTICATED = "rest_framework.permissions.IsAuthenticated"


def _views() -> Iterator[type[APIView]]:
    """Yield the REST framework views of the project. Views of Django and of securecore name their classes."""
    for view in urlconf.view_classes():
        if issubclass(view, APIView) and not view.__module__.startswith("securecore."):
            yield view


def w708_no_class_of_securecore(**_: Any) -> list[CheckMessage]:
    """Report REST framework views of which none knows certificates: ``request.user`` would always be anonymous."""
    views = list(_views())
    classes: list[Any] = [each for view in views for each in view.authentication_classes]
    if not views or any(issubclass(each, OwnAuthentication) for each in (*classes, *_default_classes())):
        return []
    return [
        Warning(
            "No view of REST framework authenticates a caller by certificate or by access token.",
            hint=f"Set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] = {list(_OURS)!r}.",
            id="securecore.W708",
        )
    ]


def _default_classes() -> list[Any]:
    return list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)


def w709_anybody_is_allowed(**_: Any) -> list[CheckMessage]:
    """Report views without ``permission_classes`` under the default of REST framework, which serves everybody."""
    open_views = sorted({_name(view) for view in _views() if _is_open_by_default(view)})
    if not open_views:
        return []
    return [
        Warning(
            "REST framework refuses no caller without a credential, which leaves that to @requires and the view: "
            f"{', '.join(open_views[:10])}.",
            hint=f"Set REST_FRAMEWORK['DEFAULT_PERMISSION_CLASSES'] = [{_AUTHENTICATED!r}]. Write permission_classes = "
            "[AllowAny] on each view that everybody may call.",
            id="securecore.W709",
        )
    ]


def _is_open_by_default(view: type[Any]) -> bool:
    names_them = next(each for each in view.__mro__ if "permission_classes" in vars(each))
    return names_them is APIView and all(permission is AllowAny for permission in view.permission_classes)


def w710_exception_handler(**_: Any) -> list[CheckMessage]:
    """Report another exception handler. The project's own handler is trusted if its module imports securecore's."""
    handler = api_settings.EXCEPTION_HANDLER
    is_ours = handler is exception_handler or _imports(handler)
    if is_ours or not any(True for _ in _views()):
        return []
    return [
        Warning(
            "Errors of REST framework have another form than the refusals of securecore, and no code.",
            hint=f"Set REST_FRAMEWORK['EXCEPTION_HANDLER'] = {_HANDLER!r}, or call it in your own handler.",
            id="securecore.W710",
        )
    ]


def _imports(handler: Any) -> bool:
    """Return whether the module of ``handler`` has imported securecore's handler, or the module that defines it."""
    names = getattr(handler, "__globals__", {}).values()
    return any(exception_handler in (each, getattr(each, "exception_handler", None)) for each in names)


def _name(view: type[Any]) -> str:
    return f"{view.__module__}.{view.__qualname__}"


CHECKS = (w708_no_class_of_securecore, w709_anybody_is_allowed, w710_exception_handler)
