"""The settings that a project pastes at the end of its settings module."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from securecore.conf import django_settings
from securecore.installation.project import Project

_BLOCK = """
# --- securecore: written by manage.py securecore_init. Keep it behind the lists that it changes.

{path}{logging}from securecore.settings import authentication_backends, middleware, rest_framework

{hosts}MIDDLEWARE = middleware(MIDDLEWARE{development})  # securecore's entries, each in its place
AUTHENTICATION_BACKENDS = authentication_backends({backends})
SESSION_ENGINE = "securecore.sessions"
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "securecore.http.problems.csrf_failure"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # nginx overwrites it
REST_FRAMEWORK = rest_framework({rest_framework})
{database}
_SECRETS = {secrets}
SECURECORE = {{
    "TRUSTED_PROXIES": ["unix:"],  # nginx connects by the unix socket
    "TOKEN_ISSUER": {origin},
    "TOKEN_AUDIENCE": {origin},
    "TOKEN_SIGNING_KEYS": [
        {{"kid": "{kid}", "alg": "ES256", "private_key": (_SECRETS / "token_signing_key.pem").read_text()}}
    ],
    "ENCRYPTION_KEYS": [(_SECRETS / "encryption_key").read_text()],  # of stored responses and of rotated signing keys
}}
"""
_LOGGING = "from securecore.json_logs import LOGGING  # noqa: F401 - each event as a line of JSON, on stderr\n"
_SQLITE = """# A check and its effect are one step only if the transaction takes SQLite's write lock at its start.
DATABASES["default"].setdefault("OPTIONS", {})["transaction_mode"] = "IMMEDIATE"
"""


def settings_block(project: Project, *, now: dt.datetime) -> str:
    """Return the lines to paste. They refer to the lists that the settings in force define."""
    is_sqlite = django_settings.DATABASES.get("default", {}).get("ENGINE", "").endswith("sqlite3")
    return _BLOCK.format(
        backends="AUTHENTICATION_BACKENDS" if _is_set("AUTHENTICATION_BACKENDS") else "",
        rest_framework="REST_FRAMEWORK" if _is_set("REST_FRAMEWORK") else "",
        database=_SQLITE if is_sqlite else "",
        **_secrets(project),
        hosts="" if project.host == "localhost" else f"ALLOWED_HOSTS = [*ALLOWED_HOSTS, {json.dumps(project.host)}]\n",
        # In development Django prints to the terminal already.
        logging="" if project.is_development or _is_set("LOGGING") else _LOGGING,
        development=", development=DEBUG" if project.is_development else "",
        origin=json.dumps(project.origin),
        kid=f"{now:%Y-%m-%d}",
    )


def _secrets(project: Project) -> dict[str, str]:
    """Return the expression for the folder of the keys: below BASE_DIR where possible, so that the project may move."""
    base = getattr(django_settings, "BASE_DIR", None)
    if isinstance(base, Path) and project.secrets.is_relative_to(base):
        return {"path": "", "secrets": f'BASE_DIR / "{project.secrets.relative_to(base)}"'}
    return {"path": "from pathlib import Path\n\n", "secrets": f"Path({json.dumps(str(project.secrets))})"}


def _is_set(name: str) -> bool:
    """Return whether the project's settings module defines the name itself."""
    settings: Any = django_settings
    return bool(settings.is_overridden(name))
