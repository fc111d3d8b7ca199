"""The SQL of the triggers on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from securecore.grants.query.auth_tables import quoted
from securecore.grants.triggers.dialect import PREFIX, Dialect, Rule


class SQLite(Dialect):
    differs = "IS NOT"
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"

    can_keep_rows = False  # flush deletes row by row

    def lock(self, name: str) -> tuple[str, ...]:
        return ()  # SQLite runs one writing transaction at a time

    def count(self, names: str) -> tuple[str, ...]:
        # No ON CONFLICT: SQLite replaces a trigger's conflict clause by the OR IGNORE of the statement that fires it.
        return (
            *self.insert_gates(names),
            f"UPDATE securecore_gate SET epoch = epoch + 1 WHERE principal IN ({names})",  # noqa: S608
        )

    def insert_gates(self, names: str) -> list[str]:
        return [
            f"INSERT INTO securecore_gate (principal, epoch) SELECT DISTINCT n.name, 0 FROM ({names}) n "  # noqa: S608
            f"WHERE n.name NOT IN (SELECT principal FROM securecore_gate)"
        ]

    def refuse(self, text: str) -> tuple[str, ...]:
        return (f"SELECT RAISE(ABORT, '{text}.')",)

    def group_key(self, name: str) -> str:
        return f"CASE WHEN substr({name}, 1, 6) = 'group:' THEN CAST(substr({name}, 7) AS integer) END"

    def changed(self, columns: Sequence[str]) -> str:
        return " OR ".join(f"OLD.{quoted(name)} IS NOT NEW.{quoted(name)}" for name in columns)

    def create(self, rule: Rule) -> list[str]:
        return [self._text(rule)]

    def drop(self, table: str, name: str) -> list[str]:
        return [f"DROP TRIGGER IF EXISTS {name}"]

    def installed(self) -> dict[tuple[str, str], str]:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'")
            return {(table, name): text for table, name, text in cursor.fetchall() if name.startswith(PREFIX)}

    def expected(self, wanted: Iterable[Rule]) -> dict[tuple[str, str], str]:
        return {(rule.table, rule.name): self._text(rule) for rule in wanted}

    def _text(self, rule: Rule) -> str:
        # A DELETE inserts no gate: `flush` deletes row by row, and would leave the inserted gates. The gate is there:
        # the INSERT of the deleted row inserted it, or `install()` did for a row from before the triggers.
        skipped = "INSERT INTO securecore_gate" if rule.event == "DELETE" else "no statement begins so"
        statements = " ".join(f"{each};" for each in rule.statements if not each.startswith(skipped))
        return (
            f"CREATE TRIGGER {rule.name} AFTER {rule.event} ON {quoted(rule.table)} "
            f"WHEN {rule.when} BEGIN {statements} END"
        )
