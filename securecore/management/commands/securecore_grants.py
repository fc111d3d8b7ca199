from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from securecore import clock, grants
from securecore.conf import settings
from securecore.grants import callers
from securecore.grants.principal_names import described
from securecore.grants.principals import Target, object_of, target_of
from securecore.http.authorization.spelling import doubt_about_client, doubt_about_permission
from securecore.management.subjects import (
    add_subjects,
    object_named,
    subject_of,
    subjects_of,
    thumbprint_named,
)
from securecore.management.terminal import FAILED, Actions, TerminalCommand, instant, whole
from securecore.models import Certificate, Grant
from securecore.revocation import revoke_grant
from securecore.texts import counted

_CALLERS = ("user", "client", "certificate")
_PRINCIPALS = (*_CALLERS, "group", "role")


class Command(TerminalCommand):
    help = "List, give and revoke grants; show the callers with a permission, and the reason for a decision."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list grants and denials that are not revoked, the newest first")
        listing.add_argument("--permission", help="only this permission")
        listing.add_argument("--revoked", action="store_true", help="only revoked grants")
        listing.add_argument("--limit", type=whole(1, 10_000_000), default=100, help="rows (%(default)s)")
        add_subjects(listing, *_PRINCIPALS, required=False)
        self._add_changes(actions)
        holding = actions.add("callers", help="list the callers that have a permission now")
        explaining = actions.add("why", help="explain the decision about a caller; exit code 1 if it has not")
        add_subjects(explaining, *_CALLERS, several=True)
        for action in (holding, explaining):
            action.add_argument("permission")
        for action in (listing, holding, explaining):
            action.add_argument("--object", help="one object, by model and key: payments.account:7")

    def _add_changes(self, actions: Actions) -> None:
        giving = actions.add("grant", changes=True, help="give a permission")
        giving.add_argument("--from", dest="valid_from", type=instant, help="not before this instant")
        giving.add_argument("--until", dest="valid_until", type=instant, help="only until this instant")
        giving.add_argument("--uses", dest="uses_limit", type=whole(1, 2**31 - 1), help="this many times")
        giving.add_argument("--amount", dest="amount_limit", type=whole(1, 2**63 - 1), help="up to this amount")
        giving.add_argument(
            "--period", type=whole(1, 2**31 - 1), help="seconds, after which uses and amount begin anew"
        )
        revoking = actions.add("revoke", changes=True, help="take a permission back; exit code 1 if it was not given")
        for action in (giving, revoking):
            action.add_argument("permission", help="the permission, or role:NAME")
            add_subjects(action, *_PRINCIPALS)
            action.add_argument("--denies", action="store_true", help="a denial, which wins over each grant")
            action.add_argument("--object", help="one object, by model and key: payments.account:7")
            action.add_argument(
                "--dry-run", action="store_true", help="show the callers it would change, and do nothing"
            )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        on = object_named(options["object"]) if options["object"] else None
        doubts = [doubt_about_permission(options["permission"])] if options["permission"] else []
        doubts += [doubt_about_client(options["client"])] if action == "grant" else []
        for doubt in filter(None, doubts):
            self.say(doubt, error=True)
        getattr(self, f"_{action}")(on, options)

    def _list(self, on: Any, options: dict[str, Any]) -> None:
        rows = Grant.objects.using(settings.DATABASE)
        rows = rows.exclude(revoked_at=None) if options["revoked"] else rows.not_revoked()
        given = {"principal": subject_of(options), "permission": options["permission"] or ""}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        rows = rows.on(*object_of(on)) if on is not None else rows
        for row in rows.order_by("-granted_at", "-pk")[: options["limit"]].iterator(chunk_size=2_000):
            self.show(
                id=row.pk,
                principal=row.principal if options["as_json"] else described(row.principal),
                permission=row.permission,
                object=":".join(filter(None, (row.object_type, row.object_id))),
                effect="denies" if row.denies else "allows",
                granted_at=row.granted_at,
                valid_from=row.valid_from,
                valid_until=row.valid_until,
                limits=_limits(row),
                revoked_at=row.revoked_at,
            )

    def _grant(self, on: Any, options: dict[str, Any]) -> None:
        names = ("valid_from", "valid_until", "uses_limit", "amount_limit", "period")
        limits: dict[str, Any] = {name: options[name] for name in names if options[name] is not None}
        principal, permission = subject_of(options), options["permission"]

        def give() -> bool:
            return grants.grant(
                principal=principal, permission=permission, obj=on, denies=options["denies"], now=clock.now(), **limits
            )

        if options["dry_run"]:
            self._preview(give, principal, permission, on)
            return
        is_new = give()
        verb = "is denied" if options["denies"] else "has"
        told = "from now on" if is_new else "already"
        self.done(f"{described(principal)} {verb} {permission} {told}.", principal=principal, is_new=is_new)

    def _revoke(self, on: Any, options: dict[str, Any]) -> None:
        principal, permission, denies = subject_of(options), options["permission"], options["denies"]

        def take() -> bool:
            return grants.revoke(principal=principal, permission=permission, obj=on, denies=denies, now=clock.now())

        if options["dry_run"]:
            self._preview(take, principal, permission, on)
            return
        revoked = take() if denies else revoke_grant(principal=principal, permission=permission, obj=on)
        if not revoked:
            raise CommandError(f"{described(principal)} has no such grant. Look: securecore_grants list")
        self.done(f"{described(principal)} has lost {permission}.", principal=principal, permission=permission)

    def _preview(self, change: Callable[[], Any], principal: str, permission: str, on: Any) -> None:
        """Show each caller that the change concerns. A change of a role shows the permissions of the role."""
        count = 0
        for of_role in self._permissions(permission):
            target = target_of(on)
            for each in callers.changes_by(change, principal, of_role, target, now=clock.now()):
                count += 1
                self.show(caller=described(each.name), permission=of_role, before=each.before, after=each.after)
        if not self._as_json:
            self.say(f"{counted(count, 'decision')} would change. Nothing was changed.")

    def _permissions(self, permission: str) -> list[str]:
        if not permission.startswith("role:"):
            return [permission]
        of_role = Grant.objects.using(settings.DATABASE).not_revoked().filter(principal=permission)
        return sorted(set(of_role.values_list("permission", flat=True)))

    def _callers(self, on: Any, options: dict[str, Any]) -> None:
        for decision in callers.callers_with(options["permission"], target_of(on), now=clock.now()):
            self.show(
                caller=described(decision.names[0]),
                through=sorted({grant.name for grant in decision.grants}),
                limits=[_limits(grant) for grant in decision.grants[:1] if grant.is_consumable],
            )

    def _why(self, on: Any, options: dict[str, Any]) -> None:
        names = subjects_of(options)
        if not names:
            raise CommandError("Name a caller: --user NAME, --client ID, --certificate FILE, or several of them.")
        if options["certificate"] and not options["user"]:
            names += _owner_of(options["certificate"])
        target: Target = target_of(on)
        found = callers.reason_for(names, options["permission"], target, now=clock.now())
        allowed = bool(found.decision)
        sentence = f"{'May' if allowed else 'May not'}: {found.decision.reason}."
        self.done(sentence, allowed=allowed, reason=found.decision.reason)
        for grant in found.grants:
            self.show(
                principal=described(grant.name),
                effect="denies" if grant.denies else "allows",
                permission=grant.permission,
                object=":".join(filter(None, (grant.object_type, grant.object_id))),
                grant=grant.id,
                limits=_limits(grant),
            )
        if not allowed:
            raise SystemExit(FAILED)


def _owner_of(certificate: str) -> tuple[str, ...]:
    """Return the principal of the certificate's user, which a request under the certificate has too."""
    row = Certificate.objects.using(settings.DATABASE).select_related("user").filter(pk=thumbprint_named(certificate))
    return tuple(grants.principal_of(each.user) for each in row if each.user is not None)


def _limits(grant: Any) -> str:
    """Return the limits of a consumable grant: ``3 uses, 500 in 86400 s``."""
    parts = [counted(grant.uses_limit, "use")] if grant.uses_limit is not None else []
    parts += [f"{grant.amount_limit}"] if grant.amount_limit is not None else []
    return ", ".join(parts) + (f" in {grant.period} s" if grant.period is not None else "")
