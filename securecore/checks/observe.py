"""The system check of observe mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning

from securecore import conf
from securecore.http.idempotency.claim_place import class_of
from securecore.http.urlconf import callbacks, name_of


def w712_observe_mode(**_: Any) -> list[CheckMessage]:
    """Report protections that only observe, in production."""
    places = [f"SECURECORE['OBSERVE'] ({', '.join(conf.settings.OBSERVE)})"] if conf.settings.OBSERVE else []
    places += dict.fromkeys(_views())
    if not places:
        return []
    return [
        Warning(
            f"Observe mode lets requests pass that would be refused: {', '.join(places)}.",
            hint="Set SECURECORE['OBSERVE'] = [], and remove @observe, once manage.py securecore_audit refusals counts "
            "no more observed: refusals.",
            id="securecore.W712",
        )
    ]


def _views() -> Iterator[str]:
    for callback in callbacks():
        cls = class_of(callback)
        handlers = [] if cls is None else [cls, *(getattr(cls, name, None) for name in cls.http_method_names)]
        for each in (callback, *handlers):
            if observed := getattr(each, "securecore_observes", None):
                yield f"{name_of(callback)} ({', '.join(sorted(observed))})"


#: Registered for ``check --deploy`` only.
DEPLOY_CHECKS = (w712_observe_mode,)
