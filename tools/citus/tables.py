"""The tables that are spread, each with the column by which its rows are spread."""

from __future__ import annotations

from typing import Any

import psycopg

DISTRIBUTED = {
    "securecore_seen_nonce": "id",
    "securecore_idempotency_record": "id",
    "securecore_one_time_token": "id",
}


def spread(connection: psycopg.Connection[Any]) -> None:
    """Spread the empty tables over the workers. The others stay on the coordinator."""
    for table, column in DISTRIBUTED.items():
        connection.execute("SELECT create_distributed_table(%s, %s)", [table, column])
