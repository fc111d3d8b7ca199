from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from securecore.database import engines


def e901_unsupported_engine(**_: Any) -> list[CheckMessage]:
    """Report a database engine other than PostgreSQL and SQLite, for example MySQL, MariaDB and Oracle.

    Every command runs this check, also ``migrate``, before it creates a table. A server runs no checks, so the
    middleware refuses to start (``refuse_unsupported_engine``).
    """
    reason = engines.unsupported_engine()
    return [Error(reason, hint=engines.HINT, id="securecore.E901")] if reason else []


CHECKS = (e901_unsupported_engine,)
