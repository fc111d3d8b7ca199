"""The demo's settings, and a certificate that was enrolled as self-signed is good (RFC 8705 section 2.2)."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import SECURECORE as _SECURECORE

SECURECORE = _SECURECORE | {"SELF_SIGNED_CERTIFICATES": True}
