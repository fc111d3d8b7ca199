"""The SQL of the triggers on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from securecore.grants.gate.lock_numbers import EXCLUSIVE, lock_sql
from securecore.grants.query.auth_tables import quoted
from securecore.grants.triggers.dialect import PREFIX, Dialect, Rule

_INSTALLED = """
    SELECT c.relname, t.tgname, p.prosrc
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND starts_with(t.tgname, %s)
    AND current_schema()::regnamespace IN (c.relnamespace, p.pronamespace)
"""


class PostgreSQL(Dialect):
    differs = "IS DISTINCT FROM"
    now = "clock_timestamp()"
    can_keep_rows = True  # flush is a TRUNCATE

    def lock(self, name: str) -> tuple[str, ...]:
        return (f"PERFORM {lock_sql(f'SELECT {name} AS name', EXCLUSIVE).removeprefix('SELECT ')}",)

    def count(self, names: str) -> tuple[str, ...]:
        # The order of Note [Lock order], in which Python sorts too. The collation of a locale sorts in another order.
        return (
            f"INSERT INTO securecore_gate AS g (principal, epoch) SELECT n.name, 1 FROM ({names}) n "  # noqa: S608
            f'ORDER BY n.name COLLATE "C" ON CONFLICT (principal) DO UPDATE SET epoch = g.epoch + 1',
        )

    def insert_gates(self, names: str) -> list[str]:
        return []  # each trigger inserts the gate that it counts

    def refuse(self, text: str) -> tuple[str, ...]:
        return (f"RAISE EXCEPTION '{text}.' USING ERRCODE = 'restrict_violation'",)

    def group_key(self, name: str) -> str:
        return f"CASE WHEN {name} ~ '^group:[0-9]{{1,18}}$' THEN CAST(substr({name}, 7) AS bigint) END"

    def changed(self, columns: Sequence[str]) -> str:
        # Read the column by its JSON name: the function must not fail after a migration has dropped the column, before
        # the end of ``migrate`` installs the function anew.
        return " OR ".join(f"to_jsonb(OLD) -> '{name}' IS DISTINCT FROM to_jsonb(NEW) -> '{name}'" for name in columns)

    def create(self, rule: Rule) -> list[str]:
        # Keep the search path of the installing session: the session that fires the trigger may have another one.
        return [
            f"CREATE OR REPLACE FUNCTION {rule.name}() RETURNS trigger LANGUAGE plpgsql "
            f"SET search_path FROM CURRENT AS $securecore${self._body(rule)}$securecore$",
            f"CREATE TRIGGER {rule.name} AFTER {rule.event} ON {quoted(rule.table)} "
            f"FOR EACH ROW EXECUTE FUNCTION {rule.name}()",
        ]

    def drop(self, table: str, name: str) -> list[str]:
        return [f"DROP FUNCTION IF EXISTS {name}() CASCADE"]  # drops its trigger, in whichever schema the table is

    def installed(self) -> dict[tuple[str, str], str]:
        with self.connection.cursor() as cursor:
            cursor.execute(_INSTALLED, [PREFIX])
            return {(table, name): body for table, name, body in cursor.fetchall()}

    def expected(self, wanted: Iterable[Rule]) -> dict[tuple[str, str], str]:
        return {(_bare(rule.table), rule.name): self._body(rule) for rule in wanted}

    def existing(self, rules: Sequence[Rule]) -> set[str]:
        # Not by Django's introspection, which lists the tables of the search path.
        tables = sorted({rule.table for rule in rules})
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT to_regclass(name) IS NOT NULL FROM unnest(CAST(%s AS text[])) WITH ORDINALITY t (name, n) "
                "ORDER BY n",
                [[quoted(table) for table in tables]],
            )
            return {table for table, (is_there,) in zip(tables, cursor.fetchall(), strict=True) if is_there}

    def _body(self, rule: Rule) -> str:
        return (
            f" BEGIN IF {rule.when} THEN {' '.join(f'{each};' for each in rule.statements)} END IF; RETURN NULL; END "
        )


def _bare(table: str) -> str:
    """Return the name of a table without the quotes and the schema that a ``db_table`` may have."""
    return table.rpartition('"."')[2].strip('"')
