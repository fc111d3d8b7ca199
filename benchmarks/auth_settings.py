"""The suite's settings plus those of the peers, each as the peer's manual advises."""

from __future__ import annotations

import datetime as dt

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, SECURECORE
from tests.settings import INSTALLED_APPS as _OURS

INSTALLED_APPS = [
    *(app for app in _OURS if not app.startswith("allauth")),
    "django.contrib.sessions",
    "knox",
    "oauth2_provider",
]
ROOT_URLCONF = "benchmarks.auth_peers"
MIDDLEWARE: list[str] = []  # auth_peers.py adds each peer's own
ALLOWED_HOSTS = ["testserver"]
DATABASES["default"] |= {"CONN_MAX_AGE": None}

_key = ec.generate_private_key(ec.SECP256R1())
ES256_PRIVATE = _key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ES256_PUBLIC = _key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
#: Filling the tables with millions of rows takes longer than the usual 300 seconds of a token.
LIFETIME = 3_600
SIMPLE_JWT = {
    "SIGNING_KEY": "a secret of the usual length, of 50 or so characters",
    "ACCESS_TOKEN_LIFETIME": dt.timedelta(seconds=LIFETIME),
}
SECURECORE = SECURECORE | {"ACCESS_TOKEN_LIFETIME": LIFETIME}
LOGGING = {"version": 1, "disable_existing_loggers": True}
