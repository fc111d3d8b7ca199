"""The rules of the triggers: for each table and event, the gates that close and the rows that end.

The rules hold for every database; a ``Dialect`` supplies the SQL that differs. They name tables of other features and
of Django, as every composed statement does, and import none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model

from securecore.grants.models import ROLE
from securecore.grants.query.user_tables import as_text, through
from securecore.grants.triggers.dialect import PREFIX, Dialect, Rule

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
)
_GRANT_COLUMNS = (
    "principal",
    "permission",
    "object_type",
    "object_id",
    "denies",
    "valid_from",
    "valid_until",
    "uses_limit",
    "amount_limit",
    "period",
    "revoked_at",
)


def every_rule(dialect: Dialect) -> list[Rule]:
    """Return every rule, for the current user model."""
    user = get_user_model()
    return [
        *_grants(dialect),
        *_users(dialect, user),
        *_memberships(dialect, user),
        *_django_permissions(dialect, user),
        *_groups(dialect),
        *_certificates(dialect),
        *_clients(dialect),
        *_epochs(dialect),
        *_registrations(dialect),
    ]


def _grants(dialect: Dialect) -> Iterator[Rule]:
    table = "securecore_grant"
    unexpired = f"(OLD.valid_until IS NULL OR OLD.valid_until > {dialect.now})"
    changed = f"(OLD.revoked_at IS NULL OR NEW.revoked_at IS NULL) AND ({dialect.changed(_GRANT_COLUMNS)})"
    yield Rule(f"{PREFIX}grant_given", table, "INSERT", "NEW.revoked_at IS NULL", _regrant(dialect, "NEW"))
    yield Rule(f"{PREFIX}grant_changed", table, "UPDATE", changed, _regrant(dialect, "OLD", "NEW"))
    moved = f"{changed} AND OLD.principal {dialect.differs} NEW.principal"
    yield Rule(f"{PREFIX}grant_moved", table, "UPDATE", moved, _regrant(dialect, "NEW"))
    # The purge of an expired or revoked grant changes no permission, so it closes no gate.
    deleted = f"OLD.revoked_at IS NULL AND {unexpired}"
    yield Rule(f"{PREFIX}grant_deleted", table, "DELETE", deleted, _regrant(dialect, "OLD"))
    forgotten = ("DELETE FROM securecore_grant_use WHERE grant_id = OLD.id",)
    yield Rule(f"{PREFIX}grant_forgotten", table, "DELETE", "OLD.id IS NOT NULL", forgotten)


def _users(dialect: Dialect, user: Any) -> Iterator[Rule]:
    table, key = user._meta.db_table, f'OLD."{user._meta.pk.column}"'
    name = f"'user:' || {as_text(user._meta.pk, key)}"
    columns = {field.name: field.column for field in user._meta.concrete_fields}
    concerned = [columns[name] for name in ("is_active", "is_staff", "is_superuser") if name in columns]
    if concerned:
        changed = dialect.changed(concerned)
        yield Rule(f"{PREFIX}user_changed", table, "UPDATE", changed, _change(dialect, name))
    ended = (
        f"DELETE FROM securecore_session WHERE user_id = {key}",  # noqa: S608
        *_end_families(dialect, f"user_id = {key}"),
    )
    if "is_active" in columns:
        active = columns["is_active"]
        deactivated = f'{dialect.changed([active])} AND NOT NEW."{active}"'
        yield Rule(f"{PREFIX}user_deactivated", table, "UPDATE", deactivated, (*ended, *_advance(dialect, name)))
    deleted = f"{key} IS NOT NULL"
    # A later user may get the same primary key, and must not inherit tokens or grants.
    forgotten = (*_change(dialect, name), *ended, *_advance(dialect, name), *_end_grants(dialect, name))
    yield Rule(f"{PREFIX}user_deleted", table, "DELETE", deleted, forgotten)


def _memberships(dialect: Dialect, user: Any) -> Iterator[Rule]:
    table = through(user, "groups")
    if table is None:
        return

    def change(row: str) -> tuple[str, ...]:
        name = f"'user:' || {as_text(user._meta.pk, f'{row}.{table.user}')}"
        group = f"'group:' || {as_text(_group_key(), f'{row}.{table.other}')}"
        # Count the group too: a concurrent change of the group must not miss a new member (Note [Lock order]).
        return (
            *dialect.lock(name),
            *dialect.count(f"SELECT {group} AS name"),
            *dialect.count(f"SELECT {name} AS name"),
        )

    yield from _every_event("membership", table.name.strip('"'), table.user, change)


def _django_permissions(dialect: Dialect, user: Any) -> Iterator[Rule]:
    own = through(user, "user_permissions")
    if own is not None:

        def change(row: str) -> tuple[str, ...]:
            return _change(dialect, f"'user:' || {as_text(user._meta.pk, f'{row}.{own.user}')}")

        yield from _every_event("user_permission", own.name.strip('"'), own.user, change)

    def change_group(row: str) -> tuple[str, ...]:
        return _change(dialect, f"'group:' || {as_text(_group_key(), f'{row}.group_id')}")

    yield from _every_event("group_permission", "auth_group_permissions", "group_id", change_group)


def _groups(dialect: Dialect) -> Iterator[Rule]:
    key = _group_key()
    name = f"'group:' || {as_text(key, f'OLD.{key.column}')}"
    ended = (*_change(dialect, name), *_end_grants(dialect, name))
    yield Rule(f"{PREFIX}group_deleted", key.model._meta.db_table, "DELETE", f"OLD.{key.column} IS NOT NULL", ended)


def _certificates(dialect: Dialect) -> Iterator[Rule]:
    table = "securecore_certificate"
    old, new = ("'certificate:' || OLD.thumbprint", "'certificate:' || NEW.thumbprint")
    changed = dialect.changed(("revoked_at", "user_id"))
    yield Rule(f"{PREFIX}certificate_changed", table, "UPDATE", changed, _change(dialect, old))
    # For a match: the certificates with its key or name.
    binding = "'x5t#S256:' || NEW.thumbprint"
    known = "SELECT i.certificate FROM securecore_certificate_identifier i WHERE i.identifier = NEW.thumbprint"
    ended: tuple[str, ...] = ()
    # One statement for each condition, so that each uses its index. For both in one PostgreSQL would read the table.
    for under in (f"certificate = NEW.thumbprint OR binding = {binding}", f"certificate IN ({known})"):
        ended += (f"DELETE FROM securecore_session WHERE {under}", *_end_families(dialect, f"({under})"))  # noqa: S608
    revoked = "OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL"
    yield Rule(f"{PREFIX}certificate_revoked", table, "UPDATE", revoked, ended)
    unseen = "NEW.revoked_at IS NOT NULL"
    yield Rule(f"{PREFIX}certificate_refused", table, "INSERT", unseen, (*_change(dialect, new), *ended))
    unexpired = f"(OLD.not_after IS NULL OR OLD.not_after > {dialect.now})"
    yield Rule(f"{PREFIX}certificate_deleted", table, "DELETE", unexpired, _change(dialect, old))
    if dialect.can_keep_rows:
        kept = f"OLD.revoked_at IS NOT NULL AND {unexpired}"
        text = "This certificate is revoked, and its row is the revocation: purge deletes it once it has expired"
        yield Rule(f"{PREFIX}certificate_kept", table, "DELETE", kept, dialect.refuse(text))


def _clients(dialect: Dialect) -> Iterator[Rule]:
    table, name = "securecore_client", "'service:' || OLD.client_id"
    changed = dialect.changed(("disabled_at",))
    yield Rule(f"{PREFIX}client_changed", table, "UPDATE", changed, _change(dialect, name))
    deleted = "OLD.client_id IS NOT NULL"
    ended = (*_end_families(dialect, "client_id = OLD.client_id"), *_advance(dialect, "'client:' || OLD.client_id"))
    disabled = "OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL"
    yield Rule(f"{PREFIX}client_disabled", table, "UPDATE", disabled, ended)
    forgotten = (*_change(dialect, name), *ended, *_end_grants(dialect, name))
    yield Rule(f"{PREFIX}client_deleted", table, "DELETE", deleted, forgotten)


def _epochs(dialect: Dialect) -> Iterator[Rule]:
    """Return the rules that let an epoch only grow: a lower epoch would make revoked tokens valid again."""
    table = "securecore_token_epoch"
    earlier = "OLD.not_before IS NOT NULL AND (NEW.not_before IS NULL OR NEW.not_before < OLD.not_before)"
    fell = f"NEW.epoch < OLD.epoch OR NEW.subject <> OLD.subject OR ({earlier})"
    yield Rule(f"{PREFIX}epoch_kept", table, "UPDATE", fell, dialect.refuse("An epoch of tokens only grows"))
    if dialect.can_keep_rows:
        text = "This epoch refuses tokens that were revoked: it is kept"
        yield Rule(f"{PREFIX}epoch_deleted", table, "DELETE", "OLD.subject IS NOT NULL", dialect.refuse(text))


def _registrations(dialect: Dialect) -> Iterator[Rule]:
    """Return the rules of a client id that passes to another holder: the former holder's tokens and grants end."""
    table, old, new = "securecore_client", "'client:' || OLD.client_id", "'client:' || NEW.client_id"
    # Before the registration, this id was the client id of a user with this name, which gets tokens by certificate.
    taken = (*_advance(dialect, new), *_end_families(dialect, "client_id = NEW.client_id"))
    yield Rule(f"{PREFIX}client_registered", table, "INSERT", "NEW.client_id IS NOT NULL", taken)
    ended = _end_grants(dialect, "'service:' || OLD.client_id")
    left = (*ended, *_advance(dialect, old), *_end_families(dialect, "client_id = OLD.client_id"))
    renamed = f"OLD.client_id {dialect.differs} NEW.client_id"
    yield Rule(f"{PREFIX}client_renamed", table, "UPDATE", renamed, (*left, *taken))


def _every_event(name: str, table: str, column: str, change: Any) -> Iterator[Rule]:
    yield Rule(f"{PREFIX}{name}_added", table, "INSERT", f"NEW.{column} IS NOT NULL", change("NEW"))
    yield Rule(f"{PREFIX}{name}_removed", table, "DELETE", f"OLD.{column} IS NOT NULL", change("OLD"))
    moved = (*change("OLD"), *change("NEW"))
    yield Rule(f"{PREFIX}{name}_moved", table, "UPDATE", f"NEW.{column} IS NOT NULL", moved)


def _regrant(dialect: Dialect, *rows: str) -> tuple[str, ...]:
    """Return the change of the first row's principal. Roles that the rows name are counted too (Note [Lock order])."""
    roles = " UNION ".join(
        f"SELECT {row}.permission AS name WHERE substr({row}.permission, 1, {len(ROLE)}) = '{ROLE}'" for row in rows
    )
    return _change(dialect, f"{rows[0]}.principal", first=dialect.count(roles))


def _change(dialect: Dialect, name: str, *, first: Sequence[str] = ()) -> tuple[str, ...]:
    """Return statements that close the gate of the principal ``name`` and count the epochs of all its members.

    ``name`` is an SQL expression. Each count is a statement of its own, so that it sees a principal that joined while
    the statement before it waited.
    """
    holding = f"FROM securecore_grant r WHERE r.permission = {name} AND r.revoked_at IS NULL"
    is_group = "substr(r.principal, 1, 6) = 'group:'"
    users = [f"SELECT r.principal AS name {holding} AND NOT {is_group}"]
    user = get_user_model()
    if (table := through(user, "groups")) is not None:
        member = f"SELECT 'user:' || {as_text(user._meta.pk, f'm.{table.user}')} AS name FROM {table.name} m"  # noqa: S608
        users.append(f"{member} WHERE m.{table.other} = {dialect.group_key(name)}")
        groups = f"SELECT {dialect.group_key('r.principal')} {holding} AND {is_group}"
        users.append(f"{member} WHERE m.{table.other} IN ({groups})")
    return (
        *dialect.lock(name),
        *first,
        *dialect.count(f"SELECT {name} AS name"),
        *dialect.count(f"SELECT r.principal AS name {holding} AND {is_group}"),
        *dialect.count(" UNION ".join(users)),
    )


def _end_families(dialect: Dialect, condition: str) -> tuple[str, ...]:
    live = f"revoked_at IS NULL AND {condition}"
    return (f"UPDATE securecore_refresh_family SET revoked_at = {dialect.now} WHERE {live}",)  # noqa: S608


def _end_grants(dialect: Dialect, name: str) -> tuple[str, ...]:
    """Return the statement that ends the grants and denials of a deleted principal: its name may be given again."""
    live = f"principal = {name} AND revoked_at IS NULL"
    if not dialect.can_keep_rows:  # an UPDATE would fire a trigger that inserts the gate's row, and flush leaves that
        return (f"DELETE FROM securecore_grant WHERE {live}",)  # noqa: S608
    return (f"UPDATE securecore_grant SET revoked_at = {dialect.now} WHERE {live}",)  # noqa: S608


def _advance(dialect: Dialect, subject: str) -> tuple[str, ...]:
    """Return statements that revoke the access tokens issued to ``subject``, an SQL expression."""
    return (
        f"INSERT INTO securecore_token_epoch (subject, epoch) SELECT {subject}, 0 "  # noqa: S608
        f"WHERE NOT EXISTS (SELECT 1 FROM securecore_token_epoch WHERE subject = {subject})",
        f"UPDATE securecore_token_epoch SET epoch = epoch + 1 WHERE subject = {subject}",  # noqa: S608
    )


def _group_key() -> Any:
    return apps.get_model("auth.Group")._meta.pk
