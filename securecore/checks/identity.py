from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from securecore import conf
from securecore.conf import django_settings

CERTIFICATE = "securecore.http.middleware.ClientCertificateMiddleware"
SESSION = "securecore.http.middleware.SessionMiddleware"
REFUSAL = "securecore.http.middleware.RefusalMiddleware"


def e101_certificate_middleware(**_: Any) -> list[CheckMessage]:
    if CERTIFICATE in django_settings.MIDDLEWARE:
        return []
    return [
        Error(
            "Identity headers are neither read nor stripped.",
            hint=f"Put {CERTIFICATE!r} into MIDDLEWARE, before everything that looks at a request.",
            id="securecore.E101",
        )
    ]


def e102_refusal_middleware(**_: Any) -> list[CheckMessage]:
    if REFUSAL in django_settings.MIDDLEWARE:
        return []
    return [
        Error(
            "A refused request would be answered with 500.",
            hint=f"Put {REFUSAL!r} into MIDDLEWARE, last.",
            id="securecore.E102",
        )
    ]


def w103_nobody_is_trusted(**_: Any) -> list[CheckMessage]:
    if conf.settings.TRUST_UNIX_SOCKET or conf.settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "No proxy is trusted, so no request will ever have a client certificate.",
            hint="Set SECURECORE['TRUST_UNIX_SOCKET'] = True, or TRUSTED_PROXIES and PROXY_SECRETS.",
            id="securecore.W103",
        )
    ]


CHECKS = (e101_certificate_middleware, e102_refusal_middleware, w103_nobody_is_trusted)
