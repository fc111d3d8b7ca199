"""Settings of the four gunicorn workers in test_leases.py: leases, and the keys of the test that started them."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import SECURECORE as _OURS

ROOT_URLCONF = "tests.races.lease_urls"
SECURECORE = _OURS | json.loads(os.environ["LEASE_SECURECORE"])
