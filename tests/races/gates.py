"""The kinds of gate under which the races run, each with and without prepared statements."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

#: Django binds values in the client and prepares nothing. With ``server_side_binding`` psycopg prepares the statements
#: that are no function; `make test` leaves these runs to `make matrix`.
PREPARED = {"server_side_binding": True, "prepare_threshold": 0}
AS_DJANGO_DOES: dict[str, Any] = {}

ROW = pytest.param(("row", AS_DJANGO_DOES), id="row")
ROW_PREPARED = pytest.param(("row", PREPARED), id="row-prepared", marks=pytest.mark.matrix)
ADVISORY = pytest.param(("advisory", AS_DJANGO_DOES), id="advisory")
ADVISORY_PREPARED = pytest.param(("advisory", PREPARED), id="advisory-prepared", marks=pytest.mark.matrix)
EVERY_GATE = [ADVISORY, ROW, ADVISORY_PREPARED, ROW_PREPARED]


def connect_with(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connections of this test have these options; the next statement opens a new connection."""
    for name, value in options.items():
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], name, value)
    connection.close()
