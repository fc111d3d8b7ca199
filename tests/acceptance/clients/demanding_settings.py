"""The demo's settings, where every DPoP proof must hold a nonce of the server (RFC 9449 section 8)."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import SECURECORE as _SECURECORE

SECURECORE = _SECURECORE | {"DPOP_NONCE_REQUIRED": True}
