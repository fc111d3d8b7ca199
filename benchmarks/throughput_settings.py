"""The demo's settings with a lease, as docs/caller.md advises."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import SECURECORE

SECURECORE = SECURECORE | {"LEASE_MS": 200}
