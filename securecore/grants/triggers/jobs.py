"""The jobs of the rules, as SQL statements over OLD and NEW: close a gate, end sessions, tokens and grants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securecore.grants.live import not_revoked_sql
from securecore.grants.models import ROLE
from securecore.grants.query.auth_tables import as_text, group_model, groups_of_users, name_sql, quoted
from securecore.grants.triggers.dialect import Dialect
from securecore.user_model import Relation


def group_key() -> Any:
    """Return the primary key field of Django's groups."""
    return group_model()._meta.pk


class Jobs:
    """The statements of each job, for one database and for the user model.

    ``users`` is the user model, or a parent whose table holds flags: a row there has the user's key in its own primary
    key, and names nobody if it is no user's.
    """

    def __init__(self, dialect: Dialect, users: Any) -> None:
        self._dialect = dialect
        self._user_key = f"OLD.{quoted(users._meta.pk.column)}"
        self.old_user = name_sql(self._user_key)
        self.old_certificate = "'certificate:' || OLD.thumbprint"
        self._new_certificate = "'certificate:' || NEW.thumbprint"
        self.old_client = "'service:' || OLD.client_id"

    def user_of(self, row: str, table: Relation) -> str:
        """Return the principal of the user in a row of a many-to-many table."""
        return name_sql(f"{row}.{quoted(table.user)}")

    # Gates

    def close_gate(self, name: str, *, first: Sequence[str] = ()) -> tuple[str, ...]:
        """Close the gate of the principal ``name``, an SQL expression, and count the epochs of all its members.

        Each count is a statement of its own, so that it sees a principal that joined while the statement before it
        waited.
        """
        dialect = self._dialect
        held = f"FROM securecore_grant r WHERE r.permission = {name} AND {not_revoked_sql('r')}"
        is_group = "substr(r.principal, 1, 6) = 'group:'"
        users = [f"SELECT r.principal AS name {held} AND NOT {is_group}"]
        if (table := groups_of_users()) is not None:
            member = f"SELECT {self.user_of('m', table)} AS name FROM {quoted(table.table)} m"  # noqa: S608
            users.append(f"{member} WHERE m.{quoted(table.other)} = {dialect.group_key(name)}")
            groups = f"SELECT {dialect.group_key('r.principal')} {held} AND {is_group}"
            users.append(f"{member} WHERE m.{quoted(table.other)} IN ({groups})")
        return (
            *dialect.lock(name),
            *first,
            *dialect.count(f"SELECT {name} AS name"),
            *dialect.count(f"SELECT r.principal AS name {held} AND {is_group}"),
            *dialect.count(" UNION ".join(users)),
        )

    def follow_grant(self, *rows: str) -> tuple[str, ...]:
        """Close the gate of the first row's principal. Roles that the rows name are counted too (Note [Lock order])."""
        is_role = f"substr({{0}}.permission, 1, {len(ROLE)}) = '{ROLE}'"
        roles = " UNION ".join(f"SELECT {row}.permission AS name WHERE {is_role.format(row)}" for row in rows)
        return self.close_gate(f"{rows[0]}.principal", first=self._dialect.count(roles))

    def follow_member(self, row: str, table: Relation) -> tuple[str, ...]:
        """Close the gate of the user that joins or leaves a group."""
        name, group = self.user_of(row, table), f"'group:' || {as_text(group_key(), f'{row}.{quoted(table.other)}')}"
        # Count the group too: a concurrent change of the group must not miss a new member (Note [Lock order]).
        return (
            *self._dialect.lock(name),
            *self._dialect.count(f"SELECT {group} AS name"),
            *self._dialect.count(f"SELECT {name} AS name"),
        )

    def follow_user(self, row: str, table: Relation) -> tuple[str, ...]:
        return self.close_gate(self.user_of(row, table))

    def follow_group(self, row: str, table: Relation) -> tuple[str, ...]:
        return self.close_gate(f"'group:' || {as_text(group_key(), f'{row}.{quoted(table.user)}')}")

    # Users and groups

    def log_user_out(self) -> tuple[str, ...]:
        """End the sessions, the refresh-token families and the access tokens of a user."""
        return (*self._end_user(), *self._revoke_tokens(self.old_user))

    def forget_user(self) -> tuple[str, ...]:
        """End also the grants: a later user may get the same primary key, and must not inherit tokens or grants."""
        return (
            *self.close_gate(self.old_user),
            *self._end_user(),
            *self._revoke_tokens(self.old_user),
            *self._end_grants(self.old_user),
        )

    def forget_group(self) -> tuple[str, ...]:
        name = f"'group:' || {as_text(group_key(), f'OLD.{quoted(group_key().column)}')}"
        return (*self.close_gate(name), *self._end_grants(name))

    # Certificates

    def end_certificate(self) -> tuple[str, ...]:
        """End the sessions and families that were opened under a certificate, or under one of a match."""
        binding = "'x5t#S256:' || NEW.thumbprint"
        known = "SELECT i.certificate FROM securecore_certificate_identifier i WHERE i.identifier = NEW.thumbprint"
        ended: tuple[str, ...] = ()
        # One statement for each condition, so that each uses its index. For both in one PostgreSQL would read the
        # whole table.
        for under in (f"certificate = NEW.thumbprint OR binding = {binding}", f"certificate IN ({known})"):
            ended += (f"DELETE FROM securecore_session WHERE {under}", *self._end_families(f"({under})"))  # noqa: S608
        return ended

    def refuse_certificate(self) -> tuple[str, ...]:
        return (*self.close_gate(self._new_certificate), *self.end_certificate())

    def keep_certificate(self) -> tuple[str, ...]:
        text = "This certificate is revoked, and its row is the revocation: purge deletes it once it has expired"
        return self._dialect.refuse(text)

    # Audit

    def keep_audit_row(self) -> tuple[str, ...]:
        text = "An audit row is never changed, and only purge deletes it, once it has expired"
        return self._dialect.refuse(text)

    # Clients: a client id may pass to another holder, and the former holder's tokens and grants end

    def end_client(self, row: str) -> tuple[str, ...]:
        """End the refresh-token families and the access tokens of a client."""
        return (*self._end_families(f"client_id = {row}.client_id"), *self._revoke_tokens(_subject(row)))

    def forget_client(self) -> tuple[str, ...]:
        return (*self.close_gate(self.old_client), *self.end_client("OLD"), *self._end_grants(self.old_client))

    def take_client_id(self) -> tuple[str, ...]:
        # Before the registration, this id was the client id of a user with this name, which gets tokens by certificate.
        return (*self._revoke_tokens(_subject("NEW")), *self._end_families("client_id = NEW.client_id"))

    def rename_client(self) -> tuple[str, ...]:
        return (
            *self._end_grants(self.old_client),
            *self._revoke_tokens(_subject("OLD")),
            *self._end_families("client_id = OLD.client_id"),
            *self.take_client_id(),
        )

    # Rows that are kept

    def delete_uses(self) -> tuple[str, ...]:
        return ("DELETE FROM securecore_grant_use WHERE grant_id = OLD.id",)

    def keep_epoch(self) -> tuple[str, ...]:
        return self._dialect.refuse("An epoch of tokens only grows")

    def keep_epoch_row(self) -> tuple[str, ...]:
        return self._dialect.refuse("This epoch refuses tokens that were revoked: it is kept")

    # Statements

    def _end_user(self) -> tuple[str, ...]:
        mine = f"user_id = {self._user_key}"
        return (f"DELETE FROM securecore_session WHERE {mine}", *self._end_families(mine))  # noqa: S608

    def _end_families(self, condition: str) -> tuple[str, ...]:
        live = f"revoked_at IS NULL AND {condition}"
        return (f"UPDATE securecore_refresh_family SET revoked_at = {self._dialect.now} WHERE {live}",)  # noqa: S608

    def _end_grants(self, name: str) -> tuple[str, ...]:
        """End the grants and denials of a deleted principal: its name may be given again."""
        live = f"principal = {name} AND {not_revoked_sql('securecore_grant')}"
        if not self._dialect.can_keep_rows:  # an UPDATE would fire a trigger that inserts the gate, and flush leaves it
            return (f"DELETE FROM securecore_grant WHERE {live}",)  # noqa: S608
        return (f"UPDATE securecore_grant SET revoked_at = {self._dialect.now} WHERE {live}",)  # noqa: S608

    def _revoke_tokens(self, subject: str) -> tuple[str, ...]:
        """Revoke the access tokens issued to ``subject``, an SQL expression, so far."""
        return (
            f"INSERT INTO securecore_token_epoch (subject, epoch) SELECT {subject}, 0 "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM securecore_token_epoch WHERE subject = {subject})",
            f"UPDATE securecore_token_epoch SET epoch = epoch + 1 WHERE subject = {subject}",  # noqa: S608
        )


def _subject(row: str) -> str:
    return f"'client:' || {row}.client_id"
