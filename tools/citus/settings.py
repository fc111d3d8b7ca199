"""The settings of the suite, with the gate that a distributed engine needs."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import SECURECORE

SECURECORE = SECURECORE | {"GATE": "row"}
