from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore.testing import Authority
from tests.admin.records import ENCRYPTION_KEY, Records


@pytest.fixture
def records(users: dict[str, User], ca: Authority, settings: Any) -> Records:
    settings.SECURECORE = {**settings.SECURECORE, "ENCRYPTION_KEYS": [ENCRYPTION_KEY]}
    return Records(users["alice"], users["bob"], ca)
