"""Trials of the objects that ``migrate`` creates: tables, triggers and functions, each of this version."""

from __future__ import annotations

from collections.abc import Callable

from django.db import IntegrityError, ProgrammingError, transaction
from django.db.migrations.loader import MigrationLoader

from securecore import audit, clock, database, digests, server_functions
from securecore.conf import settings
from securecore.database import Statement
from securecore.deployment.concurrent_connections import ConcurrentConnections, limited_transaction
from securecore.deployment.trials import POSTGRESQL, Trial, Verdict, broken, kept
from securecore.events import GateHolderEnded
from securecore.grants import triggers
from securecore.grants.principals import certificate
from securecore.models import AuditRow, Gate, Grant

#: Names in a detail.
_SHOWN = 5
_REPLICATION_ROLE = Statement("SELECT current_setting('session_replication_role')")


def tables_trial(connections: ConcurrentConnections) -> Verdict:
    loader = MigrationLoader(database.connection())
    wanted = {key for key in loader.disk_migrations if key[0] == "securecore"}
    missing = sorted(name for _, name in wanted - set(loader.applied_migrations))
    return broken(f"not migrated: {', '.join(missing)}") if missing else kept(f"{len(wanted)} migrations")


def triggers_trial(connections: ConcurrentConnections) -> Verdict:
    """Without the triggers a change in the admin or by SQL closes no gate."""
    missing = triggers.missing()
    return broken(f"missing, disabled or of another version: {_few(missing)}") if missing else kept("all enabled")


def fired_trial(connections: ConcurrentConnections) -> Verdict:
    """Insert a grant, as the admin does, and look for the gate that its trigger counts; then roll back.

    ``session_replication_role``, a setting of the role or database, may turn off every trigger.
    """
    principal = certificate(f"securecore_prove_{digests.new_secret()[:26]}")  # no certificate has this thumbprint
    with limited_transaction():
        Grant.objects.using(settings.DATABASE).create(
            principal=principal, permission="securecore.prove", granted_at=clock.now()
        )
        has_fired = Gate.objects.using(settings.DATABASE).filter(pk=principal).exists()
        transaction.set_rollback(True, using=settings.DATABASE)
    if has_fired:
        return kept("a new grant closed the gate of its principal")
    role = ""
    if database.connection().vendor == "postgresql":
        [(value,)] = _REPLICATION_ROLE.rows(database.connection(), {})
        role = f"; session_replication_role={value}"
    return broken(f"a new grant closed no gate{role}")


def audit_trial(connections: ConcurrentConnections) -> Verdict:
    """Insert an audit row, try to change and to delete it, and roll back."""
    rows = AuditRow.objects.using(settings.DATABASE)
    with limited_transaction():
        audit.write(GateHolderEnded(principals=("securecore_prove",), pid=0))
        row = rows.order_by("-id")[0]
        attempts: dict[str, Callable[[], int]] = {
            "changed": lambda: rows.filter(pk=row.pk).update(actor="nobody"),
            "deleted": lambda: rows.filter(pk=row.pk).delete()[0],
        }
        possible = [name for name, attempt in attempts.items() if _succeeds(attempt)]
        transaction.set_rollback(True, using=settings.DATABASE)
    return broken(f"an audit row was {' and '.join(possible)}") if possible else kept("UPDATE and DELETE are refused")


def _succeeds(attempt: Callable[[], int]) -> bool:
    """Say whether ``attempt`` has changed a row. Row-level security refuses by changing none."""
    try:
        with transaction.atomic(using=settings.DATABASE):
            return attempt() > 0
    except (IntegrityError, ProgrammingError):  # refused by the trigger, or the role has no such right
        return False


def functions_trial(connections: ConcurrentConnections) -> Verdict:
    """Without a function its plain statement runs, which PostgreSQL plans anew each time."""
    missing = server_functions.missing()
    count = len(server_functions.every_function())
    return broken(f"{len(missing)} of {count} missing: {_few(missing)}") if missing else kept(f"{count} functions")


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"


TRIALS = (
    Trial("P301", "The tables are of this version", tables_trial),
    Trial("P302", "The triggers are enabled and of this version", triggers_trial),
    Trial("P303", "A change outside securecore closes the gate", fired_trial),
    Trial("P304", "The functions are of this version", functions_trial, POSTGRESQL),
    Trial("P305", "No audit row can be changed or deleted", audit_trial),
)
