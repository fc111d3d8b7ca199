"""Fill the tables that every request reads with records of other users."""

from __future__ import annotations

from django.db import connection

#: Each statement takes the numbers of its first and last record. Every second record is expired.
_FILL = (
    """INSERT INTO auth_user
           (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
       SELECT '!', false, 'user ' || n, '', '', '', false, true, now() FROM generate_series(%s, %s) n""",
    """INSERT INTO securecore_revoked_token (id, expires_at)
       SELECT gen_random_uuid(), now() + (n %% 2 * 2 - 1) * interval '1 day' FROM generate_series(%s, %s) n""",
    """INSERT INTO securecore_refresh_family
           (id, user_id, client_id, binding, scope, rotates, created_at, expires_at, revoked_at)
       SELECT gen_random_uuid(), 1, 'client ' || n %% 100, 'x5t#S256:' || md5(n::text), '', true, now(),
           now() + (n %% 2 * 2 - 1) * interval '1 day', CASE WHEN n %% 3 = 0 THEN now() END
       FROM generate_series(%s, %s) n""",
    """INSERT INTO securecore_session
           (id, user_id, binding, data, created_at, last_seen_at, expires_at, ends_at, predecessor_was_user, principal,
            epoch, certificate, address, device)
       SELECT gen_random_uuid(), n, 'x5t#S256:' || md5(n::text), repeat('x', 100), now(), now(),
           now() + (n %% 2 * 2 - 1) * interval '1 hour', now() + interval '1 day', false, 'user:' || 1000 + n, 0, '',
           '', ''
       FROM generate_series(%s, %s) n""",
    """INSERT INTO securecore_certificate
           (thumbprint, matched_by, is_self_signed, subject, issuer, serial_number, not_after, enrolled_at, revoked_at)
       SELECT md5(n::text), '', false, 'CN=' || n, 'CN=CA', n::text,
           now() + (n %% 2 * 2 - 1) * interval '1 day', now(), CASE WHEN n %% 3 = 0 THEN now() END
       FROM generate_series(%s, %s) n""",
    """INSERT INTO securecore_grant (principal, permission, denies, object_type, object_id, granted_at, revoked_at)
       SELECT 'user:' || 1000 + n, 'transfers.create', false, '', '', now(), CASE WHEN n %% 2 = 0 THEN now() END
       FROM generate_series(%s, %s) n""",
)


def fill(there: int, wanted: int) -> None:
    """Add records of other users to securecore's tables, from ``there`` present records to ``wanted``."""
    share = len(_FILL)
    with connection.cursor() as cursor:
        # The triggers close and count a gate for each row. With triggers a million rows took more than five minutes.
        cursor.execute("SET session_replication_role = replica")
        for statement in _FILL:
            cursor.execute(statement, [there // share + 1, wanted // share])
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")
