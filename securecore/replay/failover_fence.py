"""The fence: after a failover to an asynchronous standby, no nonce of before the promotion is accepted.

An asynchronous standby lacks the last commits of the primary. After its promotion it knows nothing of the nonces that
the primary accepted last, and would accept a captured request again. The fence is a trigger on the table of seen
nonces, so each claim and its check run in one transaction on one server, also behind a pooler.

Note [Instants of the fence]
    PostgreSQL writes the history file of a timeline when it promotes a standby, before it accepts a write; the time of
    that file is the promotion. A lost claim was made before it. With the fence a claim is made for an instant at most
    ``clock.SKEW`` ahead of the database's clock, and the clock of the old primary is at most ``clock.SKEW`` ahead of
    the new one's. So a lost claim is for an instant at most ``2 * clock.SKEW`` after the promotion, and the fence
    refuses every instant up to there. A new request passes 20 s after the promotion.

The refusal has the SQLSTATE of a server that accepts no connection yet, so the response is 503 with Retry-After.
"""

from __future__ import annotations

from django.db import transaction

from securecore import clock, database
from securecore.conf import settings
from securecore.database import Statement
from securecore.errors import Misuse
from securecore.replay.models import SeenNonce
from securecore.replay.store import retention

NAME = "securecore_failover_fence"

#: The owner of the function needs the right to look at a file of the server's folder.
RIGHT = "GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO"

_BODY = """
DECLARE
    timeline text := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
    made_at timestamptz := NEW.expires_at - interval '{lifetime} seconds';
    promoted_at timestamptz := '-infinity';
BEGIN
    IF timeline <> '00000001' THEN
        promoted_at := (pg_stat_file('pg_wal/' || timeline || '.history', true)).modification;
    END IF;
    IF promoted_at IS NULL OR made_at <= promoted_at + interval '{after} seconds'
        OR made_at > clock_timestamp() + interval '{skew} seconds'
    THEN
        RAISE EXCEPTION 'securecore: promoted at %, so a claim for % may have been lost', promoted_at, made_at
            USING ERRCODE = 'cannot_connect_now';
    END IF;
    RETURN NEW;
END
"""
_INSTALLED = Statement("""
    SELECT p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgname = %(name)s AND t.tgrelid = CAST(%(table)s AS regclass) AND t.tgenabled IN ('O', 'A')
""")
#: The role with whose rights the trigger looks at the file, and whether it may.
_OWNER = Statement("""
    SELECT pg_get_userbyid(p.proowner), has_function_privilege(p.proowner, 'pg_stat_file(text, boolean)', 'EXECUTE')
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgname = %(name)s AND t.tgrelid = CAST(%(table)s AS regclass)
""")
_READABLE = Statement("SELECT has_function_privilege('pg_stat_file(text, boolean)', 'EXECUTE'), current_user")


def _body() -> str:
    """Return the text of the function, for the settings in force."""
    return _BODY.format(lifetime=retention(), after=2 * clock.SKEW, skew=clock.SKEW)


def is_installed() -> bool:
    """Say whether the fence stands, also one of another version or of other settings."""
    return bool(_installed())


def is_current() -> bool:
    """Say whether the fence stands, with the text of this version and of the settings in force."""
    return _installed() == [_body()]


def missing_right() -> str:
    """Return the statement that lets the owner of the fence look at the file of a promotion, or an empty string.

    On the first timeline the trigger looks at no file. So without the right, only the first failover shows the error.
    """
    rows = _OWNER.rows(database.connection(), {"name": NAME, "table": SeenNonce._meta.db_table})
    return next((f"{RIGHT} {owner}" for owner, may_look in rows if not may_look), "")


def install() -> None:
    """Create the trigger, or replace one of other settings. Raises ``Misuse`` if the role may not look at the file."""
    connection = database.connection()
    if connection.vendor != "postgresql":
        raise Misuse("The fence needs PostgreSQL: no other database has standbys that are promoted.")
    [(is_readable, role)] = _READABLE.rows(connection, {})
    if not is_readable:
        raise Misuse(f"The fence reads the time of a promotion. As a superuser: {RIGHT} {role};")
    table = connection.ops.quote_name(SeenNonce._meta.db_table)
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = pg_catalog AS $fence${_body()}$fence$"
        )
        cursor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {table}")
        cursor.execute(f"CREATE TRIGGER {NAME} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {NAME}()")


def remove() -> None:
    """Drop the trigger and its function."""
    connection = database.connection()
    table = connection.ops.quote_name(SeenNonce._meta.db_table)
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {table}")
        cursor.execute(f"DROP FUNCTION IF EXISTS {NAME}()")


def _installed() -> list[str]:
    values = {"name": NAME, "table": SeenNonce._meta.db_table}
    return [text for (text,) in _INSTALLED.rows(database.connection(), values)]
