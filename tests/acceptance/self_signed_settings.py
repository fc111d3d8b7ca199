"""The demo's settings, where an enrolled self-signed certificate is accepted (RFC 8705 section 2.2)."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import SECURECORE as _SECURECORE

SECURECORE = _SECURECORE | {"CERTIFICATE_MATCHES": ["self-signed"]}
