"""Count the rows of securecore's tables, and purge as if all had expired: python -m tools.soak.tables count|purge

Each call prints one JSON object, with a count for each table and the bytes of all together behind a VACUUM.
"""

from __future__ import annotations

import datetime as dt
import json
import sys

import django

#: Longer than the life of any row that a soak makes: certificates live for a day, and their rows for 90 more.
LATER = dt.timedelta(days=500)


def main(action: str) -> None:
    django.setup()
    from django.apps import apps
    from django.db import connection

    from securecore import clock
    from securecore.purge import purge

    if action == "purge":
        with connection.cursor() as cursor:  # the trigger asks PostgreSQL's own clock, which no soak can set
            cursor.execute("ALTER TABLE securecore_audit DISABLE TRIGGER USER")
        purge(now=clock.now() + LATER)
    models = apps.get_app_config("securecore").get_models()
    rows = {model._meta.db_table: model._default_manager.count() for model in models}
    total = 0
    with connection.cursor() as cursor:
        for table in rows:
            cursor.execute(f"VACUUM {connection.ops.quote_name(table)}")
            cursor.execute("SELECT pg_total_relation_size(%s)", [table])
            total += cursor.fetchone()[0]
    print(json.dumps({"rows": rows, "bytes": total}))


if __name__ == "__main__":
    main(sys.argv[1])
