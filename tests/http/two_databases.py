"""Settings in which securecore's tables lie in a second database, and each request runs in a transaction of either."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import SECURECORE as _SECURECORE
from tests.settings import _database

DATABASES = {alias: {**_database(), "ATOMIC_REQUESTS": True} for alias in ("default", "security")}
DATABASE_ROUTERS = ["tests.http.two_databases.Router"]
SECURECORE = {**_SECURECORE, "DATABASE": "security"}
ROOT_URLCONF = "tests.tokens.urls"


class Router:
    """Everything lies in ``security``: users must be where the tables are that refer to them."""

    def db_for_read(self, model: object, **hints: object) -> str:
        return "security"

    db_for_write = db_for_read
