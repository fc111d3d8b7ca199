"""What may be the name of a permission."""

from __future__ import annotations

import re
from typing import Any

from securecore.errors import Misuse
from securecore.grants.models import ROLE
from securecore.grants.user_tables import EVERYTHING

#: As long as the column, without control characters, and no space at either end, where nobody would see one.
_NAME = re.compile(r"(?!\s)[^\x00-\x1f\x7f-\x9f]{1,128}(?<!\s)")
_NO_NAMES = (EVERYTHING, ROLE)


def require_permission(name: Any) -> str:
    """Return ``name`` if it can name a permission, or a role as ``role:NAME``; raises ``Misuse``."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NO_NAMES:
        raise Misuse(
            f"{name!r} is no name of a permission: use a text of 1 to 128 characters without control characters, for "
            f'example "transfers.create". {EVERYTHING!r} is none; only Django\'s superusers have every permission '
            f"(DJANGO_PERMISSIONS)."
        )
    return name
