"""The rules for the name of a permission."""

from __future__ import annotations

import re
from typing import Any

from securecore.errors import Misuse
from securecore.grants.models import ROLE, Grant
from securecore.grants.query.auth_tables import EVERYTHING
from securecore.texts import quoted, storable

LONGEST: int = Grant._meta.get_field("permission").max_length or 0
#: No control characters, and no space at either end, where a reader would not see the space.
_NAME = re.compile(r"(?!\s)[^\x00-\x1f\x7f-\x9f]+(?<!\s)")
_NO_NAMES = (EVERYTHING, ROLE)


def require_permission(name: Any) -> str:
    """Return ``name`` if it can name a permission, or a role as ``role:NAME``.

    Raises ``Misuse`` for a name that only a mistake in the program can produce, and ``TextRefused`` (400) for a text
    that no column can store, since a client may have sent that text.
    """
    if isinstance(name, str):
        storable(name, longest=LONGEST)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NO_NAMES:
        raise Misuse(
            f"{quoted(name)} is no name of a permission: use a text of 1 to 128 characters without control characters, "
            f'for example "transfers.create". {EVERYTHING!r} cannot be granted; only Django\'s superusers have every '
            f"permission (DJANGO_PERMISSIONS)."
        )
    return name
