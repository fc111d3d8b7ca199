"""The demo's settings, where a certificate is known by its key."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import SECURECORE

SECURECORE = SECURECORE | {"CERTIFICATE_MATCHES": ["public-key"]}
