"""The rules of the triggers: one table of name, table, event, condition and job.

The rules hold for every database; a ``Dialect`` supplies the SQL that differs. They name tables of other features and
of Django, as every composed statement does, and import none of them. ``conditions`` and ``jobs`` have the SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.contrib.auth import get_user_model

from securecore.grants.live import not_revoked_sql
from securecore.grants.query import auth_tables
from securecore.grants.query.auth_tables import as_text, quoted
from securecore.grants.triggers.conditions import Conditions
from securecore.grants.triggers.dialect import PREFIX, Dialect, Event, Rule
from securecore.grants.triggers.jobs import Jobs, group_key
from securecore.user_model import FLAGS, Relation, flag

#: The tables of securecore that the rules name.
TABLES = (
    "securecore_gate",
    "securecore_grant",
    "securecore_grant_use",
    "securecore_session",
    "securecore_certificate",
    "securecore_certificate_identifier",
    "securecore_client",
    "securecore_refresh_family",
    "securecore_token_epoch",
    "securecore_audit",
)
_GRANT, _CERTIFICATE, _CLIENT = "securecore_grant", "securecore_certificate", "securecore_client"
_EPOCH, _AUDIT = "securecore_token_epoch", "securecore_audit"

#: The trigger that refuses to delete an audit row. ``manage.py flush`` must be able to (``triggers.without``).
AUDIT_KEPT = "audit_kept"

#: Name, table, event, condition, and the statements of the job. A rule with an empty condition does not apply.
Row = tuple[str, str, Event, str, tuple[str, ...]]


def every_rule(dialect: Dialect) -> list[Rule]:
    """Return every rule, for the current user model."""
    model = get_user_model()
    on, do = Conditions(dialect, model), Jobs(dialect, model)
    user, group = model._meta.db_table, group_key().model._meta.db_table
    member, own, groups = _relations()
    # fmt: off
    rows: list[Row] = [
        # name                 table         event     condition                   job
        ("grant_given",        _GRANT,       "INSERT", on.grant_given,             do.follow_grant("NEW")),
        ("grant_changed",      _GRANT,       "UPDATE", on.grant_changed,           do.follow_grant("OLD", "NEW")),
        ("grant_moved",        _GRANT,       "UPDATE", on.grant_moved,             do.follow_grant("NEW")),
        ("grant_deleted",      _GRANT,       "DELETE", on.grant_deleted,           do.follow_grant("OLD")),
        ("grant_forgotten",    _GRANT,       "DELETE", "OLD.id IS NOT NULL",       do.delete_uses()),
        *_flags(dialect, on),
        ("user_deleted",       user,         "DELETE", on.user_deleted,            do.forget_user()),
        *_each_event("membership", member, do.follow_member),
        *_each_event("user_permission", own, do.follow_user),
        *_each_event("group_permission", groups, do.follow_group),
        ("group_deleted",      group,        "DELETE", on.group_deleted,           do.forget_group()),
        ("certificate_changed", _CERTIFICATE, "UPDATE", on.certificate_changed,    do.close_gate(do.old_certificate)),
        ("certificate_revoked", _CERTIFICATE, "UPDATE", on.certificate_revoked,    do.end_certificate()),
        ("certificate_refused", _CERTIFICATE, "INSERT", "NEW.revoked_at IS NOT NULL", do.refuse_certificate()),
        ("certificate_deleted", _CERTIFICATE, "DELETE", on.certificate_counts,     do.close_gate(do.old_certificate)),
        ("certificate_kept",   _CERTIFICATE, "DELETE", on.revocation_counts,       do.keep_certificate()),
        ("client_changed",     _CLIENT,      "UPDATE", on.client_changed,          do.close_gate(do.old_client)),
        ("client_disabled",    _CLIENT,      "UPDATE", on.client_disabled,         do.end_client("OLD")),
        ("client_deleted",     _CLIENT,      "DELETE", "OLD.client_id IS NOT NULL", do.forget_client()),
        ("epoch_kept",         _EPOCH,       "UPDATE", on.epoch_fell,              do.keep_epoch()),
        ("epoch_deleted",      _EPOCH,       "DELETE", on.epoch_deleted,           do.keep_epoch_row()),
        ("client_registered",  _CLIENT,      "INSERT", "NEW.client_id IS NOT NULL", do.take_client_id()),
        ("client_renamed",     _CLIENT,      "UPDATE", on.client_renamed,          do.rename_client()),
        ("audit_changed",      _AUDIT,       "UPDATE", on.audit_changed,           do.keep_audit_row()),
        (AUDIT_KEPT,           _AUDIT,       "DELETE", on.audit_kept,              do.keep_audit_row()),
    ]
    # fmt: on
    return [Rule(f"{PREFIX}{name}", table, event, when, job) for name, table, event, when, job in rows if when]


def principals_in_rows(dialect: Dialect) -> dict[str, str]:
    """Return, for each table with rows that give a principal something, a SELECT of these principals as ``name``."""
    do = Jobs(dialect, get_user_model())
    member, own, groups = _relations()
    group = f"'group:' || {as_text(group_key(), f'm.{quoted(groups.user)}')}"
    grants = f"SELECT principal AS name FROM {_GRANT} WHERE {not_revoked_sql(_GRANT)}"  # noqa: S608
    selects = {groups.table: f"SELECT {group} AS name FROM {quoted(groups.table)} m", _GRANT: grants}  # noqa: S608
    for table in filter(None, (member, own)):
        selects[table.table] = f"SELECT {do.user_of('m', table)} AS name FROM {quoted(table.table)} m"  # noqa: S608
    return selects


def _relations() -> tuple[Relation | None, Relation | None, Relation]:
    return auth_tables.groups_of_users(), auth_tables.permissions_of_users(), auth_tables.permissions_of_groups()


def _flags(dialect: Dialect, on: Conditions) -> Iterator[Row]:
    """Yield the rows for the flags of a user, for each table that holds some: a parent's, or that of the user model."""
    flags = [field for name in FLAGS if (field := flag(name)) is not None]
    for number, model in enumerate(dict.fromkeys(field.model for field in flags)):
        here, do = [field for field in flags if field.model is model], Jobs(dialect, model)
        table, more = model._meta.db_table, f"_{number + 1}" if number else ""
        yield f"user_changed{more}", table, "UPDATE", on.privileges_changed(here), do.close_gate(do.old_user)
        yield f"user_deactivated{more}", table, "UPDATE", on.user_deactivated(here), do.log_user_out()


def _each_event(name: str, table: Relation | None, job: Callable[[str, Relation], tuple[str, ...]]) -> Iterator[Row]:
    """Yield the rows for a many-to-many table of Django; none if the user model lacks the relation."""
    if table is None:
        return
    named, key = table.table, quoted(table.user)
    yield f"{name}_added", named, "INSERT", f"NEW.{key} IS NOT NULL", job("NEW", table)
    yield f"{name}_removed", named, "DELETE", f"OLD.{key} IS NOT NULL", job("OLD", table)
    yield f"{name}_moved", named, "UPDATE", f"NEW.{key} IS NOT NULL", (*job("OLD", table), *job("NEW", table))
