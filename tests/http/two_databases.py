"""Settings with securecore's tables in a second database, and a transaction in each database for each request."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import SECURECORE as _SECURECORE
from tests.settings import _database

DATABASES = {alias: {**_database(), "ATOMIC_REQUESTS": True} for alias in ("default", "security")}
DATABASE_ROUTERS = ["tests.http.two_databases.Router"]
SECURECORE = {**_SECURECORE, "DATABASE": "security"}
ROOT_URLCONF = "tests.tokens.urls"


class Router:
    """Put every table into ``security``: users must be in the database of the tables that refer to them."""

    def db_for_read(self, model: object, **hints: object) -> str:
        return "security"

    db_for_write = db_for_read
