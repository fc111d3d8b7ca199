"""The conditions of the rules, as SQL over OLD and NEW. An empty condition drops its rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securecore.grants import live
from securecore.grants.query.auth_tables import quoted
from securecore.grants.triggers.dialect import Dialect
from securecore.grants.triggers.jobs import group_key

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

#: The columns that an audit row has from the beginning; the seal sets the others.
_AUDIT_COLUMNS = (
    "id",
    "at",
    "event",
    "subject",
    "actor_kind",
    "actor",
    "address",
    "request_id",
    "reason",
    "payload",
    "expires_at",
)


class Conditions:
    """The condition of each rule, for one database and one user model."""

    def __init__(self, dialect: Dialect, user: Any) -> None:
        self._dialect = dialect
        self._of_grants(dialect)
        self._of_certificates(dialect)
        # One UPDATE of an audit row is right: its seal, once (Note [Chain] in audit/chain.py).
        self.audit_changed = f"OLD.position IS NOT NULL OR {dialect.changed(_AUDIT_COLUMNS)}"
        self.audit_kept = f"OLD.position IS NULL OR OLD.expires_at > {dialect.now}"
        self.user_deleted = f"OLD.{quoted(user._meta.pk.column)} IS NOT NULL"
        self.group_deleted = f"OLD.{quoted(group_key().column)} IS NOT NULL"
        self.client_changed = dialect.changed(("disabled_at",))
        self.client_disabled = "OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL"
        self.client_renamed = f"OLD.client_id {dialect.differs} NEW.client_id"
        # An epoch only grows: a lower one would make revoked tokens valid again.
        earlier = "OLD.not_before IS NOT NULL AND (NEW.not_before IS NULL OR NEW.not_before < OLD.not_before)"
        self.epoch_fell = f"NEW.epoch < OLD.epoch OR NEW.subject <> OLD.subject OR ({earlier})"
        self.epoch_deleted = "OLD.subject IS NOT NULL" if dialect.can_keep_rows else ""

    def privileges_changed(self, flags: Sequence[Any]) -> str:
        """Return the condition that one of these flags of a user changed."""
        return self._dialect.changed([field.column for field in flags])

    def user_deactivated(self, flags: Sequence[Any]) -> str:
        """Return the condition that the user is no longer active; empty if that flag is not among ``flags``."""
        for field in flags:
            if field.name == "is_active":
                # A flag that may be null says by null that the user is not active.
                return f"({self._dialect.changed([field.column])}) AND NEW.{quoted(field.column)} IS NOT TRUE"
        return ""

    def _of_grants(self, dialect: Dialect) -> None:
        self.grant_given = live.not_revoked_sql("NEW")
        #: The purge of a grant that has ended changes no permission, so it closes no gate.
        self.grant_deleted = live.not_ended_sql("OLD", dialect.now)
        was_or_is_given = f"({live.not_revoked_sql('OLD')} OR {live.not_revoked_sql('NEW')})"
        self.grant_changed = f"{was_or_is_given} AND ({dialect.changed(_GRANT_COLUMNS)})"
        self.grant_moved = f"{self.grant_changed} AND OLD.principal {dialect.differs} NEW.principal"

    def _of_certificates(self, dialect: Dialect) -> None:
        self.certificate_changed = dialect.changed(("revoked_at", "user_id"))
        self.certificate_revoked = "OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL"
        #: The row of an expired certificate decides nothing, so the purge may delete it.
        self.certificate_counts = f"(OLD.not_after IS NULL OR OLD.not_after > {dialect.now})"
        is_revoked = f"OLD.revoked_at IS NOT NULL AND {self.certificate_counts}"
        self.revocation_counts = is_revoked if dialect.can_keep_rows else ""
