"""The rows of a service in a bad night, on PostgreSQL: a wave of 401, an ended revocation list, a broken promise.

The numbers follow from the places of the rows, not from chance, so that two runs show the same page.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

Execute = Callable[[str, dict[str, Any]], object]

#: The rows of a table come in bulk, as from a restore: no trigger fires.
_BEGIN = "SET session_replication_role = replica"
_END = "RESET session_replication_role"

_USERS = """
    INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, date_joined, first_name, last_name,
        email)
    SELECT 'branch-' || lpad(n::text, 4, '0'), '!', false, false, n %% 10 <> 0, %(now)s, '', '', ''
    FROM generate_series(1, 2000) n
"""
_SESSIONS = """
    INSERT INTO securecore_session (id, user_id, binding, data, created_at, last_seen_at, expires_at, ends_at,
        predecessor_was_user, epoch, certificate, address, device)
    SELECT gen_random_uuid(), u.id, '', '', %(now)s, %(now)s, %(now)s + interval '30 min', %(now)s + interval '8 h',
        false, 0, '', '', ''
    FROM generate_series(1, %(sessions)s) n
    JOIN auth_user u ON u.username = 'branch-' || lpad((n %% 2000 + 1)::text, 4, '0')
"""
_GRANTS = """
    INSERT INTO securecore_grant (principal, permission, object_type, object_id, denies, granted_at, revoked_at,
        valid_until)
    SELECT 'user:' || n, 'accounts.read', '', '', false, %(now)s,
        CASE WHEN n %% 20 = 0 THEN %(now)s - (n %% 100000) * interval '1 min' END,
        CASE WHEN n %% 30 = 0 THEN %(now)s + n * interval '1 min' END
    FROM generate_series(1, %(grants)s) n
"""
#: The first 40 users have one certificate each that ends soon or has ended; an even one is renewed by another.
_CERTIFICATES = """
    INSERT INTO securecore_certificate (thumbprint, matched_by, user_id, is_self_signed, subject, issuer, serial_number,
        not_after, enrolled_at, revoked_at)
    SELECT lpad(n::text, 43, 'x'), 'thumbprint', u.id, false, 'CN=' || u.username || ',O=Bank', 'CN=Mesh CA,O=Bank',
        to_hex(n), CASE WHEN n <= 40 THEN %(now)s + (n - 5.3) * interval '19 h'
            ELSE %(now)s + interval '60 days' + n * interval '1 h' END,
        %(now)s - interval '1 year', CASE WHEN n %% 13 = 0 THEN %(now)s END
    FROM generate_series(1, %(certificates)s) n
    JOIN auth_user u ON u.username = 'branch-' || lpad((CASE WHEN n <= 40 THEN n WHEN n <= 60 THEN 2 * (n - 40)
        ELSE n %% 1900 + 41 END)::text, 4, '0')
"""
_TOTALS = """
    INSERT INTO securecore_refusal_total (id, seconds, begins, code, reason, count, expires_at)
    SELECT gen_random_uuid(), %(seconds)s,
        date_trunc(%(unit)s::text, %(now)s) - n * make_interval(secs => %(seconds)s), code, reason,
        CASE WHEN code = 'invalid-token' AND n < %(wave)s THEN 40 * %(seconds)s / 60 + (n * 37) %% 23 * %(seconds)s / 60
            ELSE 1 + rarity * (2 + (n * 31 + rarity) %% 7) * %(seconds)s / 600 END,
        %(now)s + interval '35 days'
    FROM generate_series(%(first)s::int, %(last)s::int) n, (VALUES ('invalid-token', 'expired-signature', 3),
        ('nonce-reused', '', 4), ('authentication-required', '', 6), ('timestamp-stale', '', 1),
        ('certificate-unknown', '', 2), ('permission-denied', '', 3), ('idempotency-in-progress', '', 2),
        ('session-refused', '', 1), ('busy', 'operational-error', 1),
        ('observed:permission-denied', 'payouts.create', 2), ('observed:timestamp-missing', '', 5)
    ) pairs (code, reason, rarity)
    WHERE (n + length(code)) %% (8 - rarity) = 0 OR (code = 'invalid-token' AND n < %(wave)s)
"""
#: The hours that the minutes cover.
_HOURS_OF_MINUTES = """
    INSERT INTO securecore_refusal_total (id, seconds, begins, code, reason, count, expires_at)
    SELECT gen_random_uuid(), 3600, date_trunc('hour', begins), code, reason, sum(count),
        %(now)s + interval '35 days'
    FROM securecore_refusal_total WHERE seconds = 60 GROUP BY date_trunc('hour', begins), code, reason
"""
_MORE_TOTALS = """
    INSERT INTO securecore_refusal_total (id, seconds, begins, code, reason, count, expires_at)
    SELECT gen_random_uuid(), 3600, %(now)s - interval '9 days' - n * interval '1 s', 'old', '', 1,
        %(now)s + interval '20 days'
    FROM generate_series(1, %(old_totals)s) n
"""
_AUDIT = """
    INSERT INTO securecore_audit (at, event, subject, actor_kind, actor, address, request_id, reason, payload,
        expires_at)
    SELECT %(now)s, 'securecore.grants.grant-given', 'user:' || n, 'user', 'user:1', '', '', '', '{}',
        %(now)s + n * interval '1 s'
    FROM generate_series(1, %(audit)s) n
"""
_LOCKOUTS = """
    INSERT INTO securecore_lockout (subject, reason, locked_at, expires_at)
    SELECT coalesce('user:' || u.id, subject), reason, %(now)s - interval '10 min', %(now)s + lasts
    FROM (VALUES ('service:payments', '', 'repeats each request, ticket 4711', interval '20 min'),
        ('user', 'branch-0017', 'certificate stolen, ticket 4712', interval '6 h'),
        ('issuer:CN=Old CA,O=Bank', '', 'authority under investigation', interval '2 days')
    ) given (subject, username, reason, lasts) LEFT JOIN auth_user u ON u.username = given.username
"""
_LISTS = """
    INSERT INTO securecore_revocation_list (name, issuer, number, this_update, next_update, refuses_when_expired,
        imported_at, entries, expires_at)
    SELECT gen_random_uuid(), issuer, number, %(now)s - interval '7 days', %(now)s + ends, false, %(now)s, entries,
        %(now)s + interval '10 years'
    FROM (VALUES ('CN=Old CA,O=Bank', '88', interval '-3 h', 1204),
        ('CN=Mesh CA,O=Bank', '4120', interval '9 h', 51873),
        ('CN=Partner CA,O=Clearing', '7', interval '6 days', 12)) given (issuer, number, ends, entries)
"""
_PURGE = """
    INSERT INTO securecore_last_run (name, at, host, outcome, detail)
    VALUES ('purge', %(now)s - interval '8 min', 'app-1', 'finished', '48,211 rows deleted in 0.6 s')
    ON CONFLICT (name) DO NOTHING
"""
_NONCES = """
    INSERT INTO securecore_seen_nonce (id, expires_at)
    SELECT gen_random_uuid(), %(now)s + (n - 300) * interval '1 s' FROM generate_series(1, %(nonces)s) n
"""


_STATEMENTS = (
    _USERS,
    _SESSIONS,
    _GRANTS,
    _CERTIFICATES,
    _MORE_TOTALS,
    _AUDIT,
    _LOCKOUTS,
    _LISTS,
    _PURGE,
    _NONCES,
)


def populate(execute: Execute, *, now: dt.datetime, rows: int, grants: int) -> None:
    """Insert ``rows`` rows into each table that grows with use, and ``grants`` grants; then ANALYZE.

    ``execute`` runs a statement in autocommit mode or in one transaction, as a superuser.
    """
    numbers = dict.fromkeys(("sessions", "certificates", "old_totals", "audit", "nonces"), rows)
    given = {"now": now, "grants": grants, **numbers}
    # Whole hours of minutes, so that each hour is counted once.
    minutes = {"seconds": 60, "unit": "minute", "first": 0, "last": 60 + now.minute, "wave": 19}
    hours = {"seconds": 3_600, "unit": "hour", "first": 2, "last": 167, "wave": 0}
    execute(_BEGIN, {})
    for statement in (
        _USERS,
        _SESSIONS,
        _GRANTS,
        _CERTIFICATES,
        _MORE_TOTALS,
        _AUDIT,
        _LOCKOUTS,
        _LISTS,
        _PURGE,
        _NONCES,
    ):
        execute(statement, given)
    execute(_TOTALS, {**given, **minutes})
    execute(_HOURS_OF_MINUTES, given)
    execute(_TOTALS, {**given, **hours})
    execute(_END, {})
    execute("ANALYZE", {})
