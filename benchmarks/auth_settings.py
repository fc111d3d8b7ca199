"""The suite's settings with the peers beside ours, each as its manual says."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES
from tests.settings import INSTALLED_APPS as _OURS

INSTALLED_APPS = [
    *(app for app in _OURS if not app.startswith("allauth")),
    "django.contrib.sessions",
    "knox",
    "oauth2_provider",
]
ROOT_URLCONF = "benchmarks.auth_peers"
MIDDLEWARE: list[str] = []  # each peer brings its own
ALLOWED_HOSTS = ["testserver"]
# As docs/caller.md has it: a connection of our own may prepare statements, one of a pooler may not (--unprepared).
DATABASES["default"] |= {"CONN_MAX_AGE": None}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"].setdefault("OPTIONS", {})["prepare_threshold"] = 5

_key = ec.generate_private_key(ec.SECP256R1())
ES256_PRIVATE = _key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ES256_PUBLIC = _key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
SIMPLE_JWT = {"SIGNING_KEY": "a secret of the usual length, of 50 or so characters"}
LOGGING = {"version": 1, "disable_existing_loggers": True}
