from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.grants import lockouts
from securecore.grants.principal_names import described
from securecore.grants.query.lockouts import EVERYONE, ISSUER
from securecore.http.authorization.spelling import doubt_about_client
from securecore.management.subjects import add_subjects, subject_of
from securecore.management.terminal import Actions, TerminalCommand, duration

_KINDS = ("user", "client", "certificate", "issuer", EVERYONE)


class Command(TerminalCommand):
    help = "Lock a user, client, certificate, issuer or everyone out for a time. Nothing of theirs ends."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        actions.add("list", help="list the lockouts in force, the first to end first")
        adding = actions.add("add", changes=True, asks=True, help="lock a subject out, or change its lockout")
        add_subjects(adding, *_KINDS)
        adding.add_argument(
            "--for",
            dest="lasts",
            type=duration,
            default=dt.timedelta(hours=1),
            help="30m, 2h or 7d; 1h if not given, at most 30d",
        )
        lifting = actions.add("lift", changes=True, help="let a subject in again")
        add_subjects(lifting, *_KINDS)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for row in lockouts.in_force(clock.now()):
            self.show(subject=described(row.subject), until=row.expires_at, since=row.locked_at, reason=row.reason)

    def _add(self, options: dict[str, Any]) -> None:
        subject, lasts = subject_of(options), options["lasts"]
        if not options["reason"]:
            raise CommandError('Give a reason, for the next operator: --reason "stolen laptop, ticket 4711".')
        if subject == EVERYONE or subject.startswith(ISSUER):
            refused = "everyone" if subject == EVERYONE else f"every certificate of {subject.removeprefix(ISSUER)}"
            self.confirm(f"This refuses {refused} for {lasts}.", yes=options["yes"])
        if doubt := doubt_about_client(options["client"]):
            self.say(doubt, error=True)
        row = lockouts.lock_out(subject=subject, lasts=lasts, reason=options["reason"])
        until = row.expires_at.isoformat(timespec="seconds")
        self.done(f"{described(subject)} is locked out until {until}.", subject=subject, until=row.expires_at)

    def _lift(self, options: dict[str, Any]) -> None:
        subject = subject_of(options)
        if not lockouts.lift(subject=subject):
            raise CommandError(f"{subject} was not locked out. Look: securecore_lock list")
        self.done(f"{described(subject)} is accepted again.", subject=subject)
