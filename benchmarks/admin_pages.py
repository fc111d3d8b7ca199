"""Measure the pages of the admin beside many rows: lists, searches and single rows, in milliseconds.

    python -m tests.support.postgres -- python -m benchmarks.admin_pages [--rows 10000000] [--rounds N] [--keep]

Fills ``--rows`` audit rows, and a tenth of it of users, certificates, live sessions, grants and authorizations. A page
is requested in process: Django's middleware, permissions, queries and rendering are in the figure, the network is not.
``--keep`` leaves the database for a second run.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import statistics
import time
from collections.abc import Iterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.record_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext, setup_databases, teardown_databases  # noqa: E402

from securecore import models  # noqa: E402
from securecore.testing import MutualTLSClient  # noqa: E402

ROOT = "/admin/securecore/"
#: Thumbprints of 43 characters of base64url, and serial numbers, from a number in SQL.
THUMBPRINT = "translate(encode(sha256(({})::text::bytea), 'base64'), '+/=', '-_')"
FILL = (
    """
    INSERT INTO auth_user (username, email, password, first_name, last_name, is_active, is_staff, is_superuser,
        date_joined)
    SELECT 'user' || n, 'user' || n || '@bank.example', '!', '', '', true, false, false, now()
    FROM generate_series(1, {tenth}) n""",
    f"""
    INSERT INTO securecore_certificate (thumbprint, matched_by, user_id, is_self_signed, subject, issuer, serial_number,
        not_after, enrolled_at, revoked_at)
    SELECT {THUMBPRINT.format("id")}, 'thumbprint', id, false, 'CN=' || username || ',O=Bank', 'CN=Mesh CA,O=Bank',
        to_hex(281474976710656 + id), now() + (id % 400) * interval '1 day', now() - interval '90 days',
        CASE WHEN id % 100 = 0 THEN now() - interval '1 day' END
    FROM auth_user WHERE username LIKE 'user%'""",
    f"""
    INSERT INTO securecore_session (id, user_id, binding, data, created_at, last_seen_at, expires_at, ends_at,
        predecessor_was_user, epoch, certificate, address, device)
    SELECT gen_random_uuid(), first + n % {{tenth}}, '', '', now() - interval '2 hours',
        now() - n * interval '1 ms' / 5,
        now() + interval '1 hour' - n * interval '1 ms' / 5, now() + interval '9 hours', false, 0,
        {THUMBPRINT.format("first + n % {tenth}")}, '10.' || n % 200 || '.' || n % 251 || '.' || n % 13,
        CASE n % 3 WHEN 0 THEN 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
            WHEN 1 THEN 'okhttp/5.1.0' ELSE 'python-httpx/0.28' END
    FROM generate_series(1, {{tenth}}) n, (SELECT min(id) AS first FROM auth_user WHERE username LIKE 'user%') u""",
    f"""
    INSERT INTO securecore_refresh_family (id, user_id, client_id, binding, scope, rotates, certificate, created_at,
        expires_at, revoked_at)
    SELECT gen_random_uuid(), id, 'client' || id % 50, '', 'accounts', true, {THUMBPRINT.format("id")},
        now() - id * interval '1 ms', now() + interval '14 days' - id * interval '1 ms', NULL
    FROM auth_user WHERE username LIKE 'user%'""",
    """
    INSERT INTO securecore_grant (principal, permission, object_type, object_id, denies, granted_at, revoked_at)
    SELECT 'user:' || id, CASE id % 5 WHEN 0 THEN 'payouts.create' ELSE 'transfers.create' END, '', '', id % 5000 = 0,
        now() - interval '30 days', CASE WHEN id % 10 = 0 THEN now() - interval '3 days' END
    FROM auth_user WHERE username LIKE 'user%'""",
    """
    INSERT INTO securecore_audit (at, event, subject, actor_kind, actor, address, request_id, reason, payload,
        expires_at)
    SELECT now() - ({rows} - n) * interval '1 s',
        CASE WHEN n % 10 = 0 THEN 'securecore.grants.grant-given' ELSE 'securecore.sessions.session-opened' END,
        'user:' || first + n % {tenth}, CASE WHEN n % 10 = 0 THEN 'admin' ELSE 'user' END,
        'user:' || CASE WHEN n % 10 = 0 THEN first ELSE first + n % {tenth} END, '10.0.0.' || n % 251,
        md5(n::text), CASE WHEN n % 10 = 0 THEN 'ticket ' || n ELSE '' END,
        CASE WHEN n % 10 = 0 THEN '{{"permission": "transfers.create", "object": "", "denies": false}}'::jsonb
            ELSE '{{}}'::jsonb END,
        now() + interval '400 days'
    FROM generate_series(1, {rows}) n, (SELECT min(id) AS first FROM auth_user WHERE username LIKE 'user%') u""",
)


#: The indexes that belong to no constraint: built after the rows they take a tenth of the time.
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'securecore_%'
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


def fill(rows: int) -> None:
    """Insert the rows without triggers, which would write a gate for each, and analyse the tables."""
    with connection.cursor() as cursor:
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute("SET session_replication_role = replica")
        for statement in FILL:
            cursor.execute(statement.format(rows=rows, tenth=rows // 10))
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE")


def pages(client: MutualTLSClient) -> Iterator[tuple[str, str]]:
    """Return a name and the address of each measured page."""
    user = User.objects.get(username="user77")
    digest = hashlib.sha256(str(user.pk).encode()).digest()
    thumbprint = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    searches = {
        "session": (
            ("user name", user.username), ("e-mail", user.email), ("thumbprint", digest.hex(":")), ("text", "okhttp"),
        ),
        "refreshfamily": (("user name", user.username), ("client id", "client7"), ("thumbprint", thumbprint)),
        "certificate": (("user name", user.username), ("serial", f"{2**48 + user.pk:X}"), ("text", "CN=user7")),
        "grant": (("user name", user.username), ("permission", "payouts.create"), ("nobody", "nobody")),
        "auditrow": (
            ("user name", user.username), ("the busiest actor", "user1"), ("event", "grant-given"),
            ("nobody", "nobody"),
        ),
    }  # fmt: skip
    for model, asked in searches.items():
        yield f"{model} list", f"{ROOT}{model}/"
        last = client.get(f"{ROOT}{model}/").context_data["cl"].paginator.num_pages
        yield f"{model} page {last}", f"{ROOT}{model}/?p={last}"
        for name, text in asked:
            yield f"{model} by {name}", f"{ROOT}{model}/?q={text}"
        row = getattr(models, {"refreshfamily": "RefreshFamily", "auditrow": "AuditRow"}.get(model, model.title()))
        yield f"{model} row", f"{ROOT}{model}/{row.objects.first().pk}/change/"
    yield "certificate revoked", f"{ROOT}certificate/?state=revoked"
    yield "grant revoked", f"{ROOT}grant/?state=revoked"
    yield "grant revoked by user name", f"{ROOT}grant/?state=revoked&q={user.username}"


def measure(rounds: int) -> None:
    operator, _ = User.objects.get_or_create(username="operator", is_staff=True, is_superuser=True)
    client = MutualTLSClient()
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    print(f"{'page':32} {'ms':>8} {'longest query':>14} {'queries':>8}")
    for name, url in pages(client):
        spent = []
        for _ in range(rounds):
            started = time.perf_counter()
            response = client.get(url)
            spent.append((time.perf_counter() - started) * 1e3)
            assert response.status_code == 200, (url, response.status_code)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        longest = max(float(each["time"]) * 1e3 for each in queries)
        print(f"{name:32} {statistics.median(spent):8.0f} {longest:14.0f} {len(queries):8}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False, keepdb=arguments.keep, serialized_aliases=[])
    try:
        if not models.AuditRow.objects.exists():
            fill(arguments.rows)
        measure(arguments.rounds)
    finally:
        if not arguments.keep:
            teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
