from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from securecore import clock, incidents, tokens
from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.grants import principals
from securecore.grants.principal_names import described
from securecore.management.subjects import thumbprint_named
from securecore.management.terminal import FAILED, Actions, TerminalCommand, duration, instant
from securecore.management.thumbprints import thumbprint
from securecore.models import Certificate, RefreshFamily, RevokedToken, Session
from securecore.texts import counted, near, quoted_argument

#: The lockout of a stolen certificate's or token's user, unless the operator names another.
_LOCK = dt.timedelta(hours=1)


class Command(TerminalCommand):
    help = "Take the first steps of an incident, and show the trail of the stolen credential."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        certificate = actions.add(
            "stolen-certificate",
            changes=True,
            asks=True,
            help="lock the user of a certificate out, revoke the certificate, end its sessions and tokens",
        )
        certificate.add_argument("certificate", type=thumbprint, help="a file, a thumbprint or a serial number")
        certificate.add_argument("--all", action="store_true", help="end all other sessions and tokens of the user too")
        token = actions.add(
            "stolen-token",
            changes=True,
            asks=True,
            help="refuse a token, end its authorization, lock its user out",
        )
        source = token.add_mutually_exclusive_group(required=True)
        source.add_argument("--file", help="a file with the token, - for standard input; never type a token")
        source.add_argument("--jti", help="the jti of the token, if the token itself is unknown")
        for action in (certificate, token):
            action.add_argument("--since", type=instant, help="the beginning of the trail; 7 days ago if not given")
            action.add_argument(
                "--lock",
                type=duration,
                help="length of the lockout: 30m, 2h or 7d (1h; none if an earlier run revoked it)",
            )
            action.add_argument("--no-lock", action="store_true", help="lock nobody out")
        restored = actions.add(
            "restored-backup",
            changes=True,
            asks=True,
            help="end everything that a backup may have brought back",
        )
        restored.add_argument(
            "--stopped-at", type=instant, help="when the failed service served its last request; now if not given"
        )
        restored.add_argument("--audit", help="an export of the audit, of which later revocations are made again")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        options["reason"] = options["reason"] or f"incident: {action}"
        getattr(self, f"_{action.replace('-', '_')}")(options)

    def _stolen_certificate(self, options: dict[str, Any]) -> None:
        revoked = thumbprint_named(options["certificate"])
        row = Certificate.objects.using(settings.DATABASE).select_related("user").filter(pk=revoked).first()
        if row is None and not _is_used(revoked):
            self.say(_doubt(revoked), error=True)
        common = self._common(options, is_revoked=row is not None and row.revoked_at is not None)
        seen = self._show_trail(incidents.trail_of_certificate(thumbprint=revoked, since=common["since"]))
        self.confirm(_question(revoked, row, common["lasts"]), yes=options["yes"])
        self._print(incidents.stolen_certificate(thumbprint=revoked, ends_all=options["all"], **common), seen)

    def _stolen_token(self, options: dict[str, Any]) -> None:
        token = None
        if options["file"] is not None:
            token = _verified(_read(options["file"]).strip())
        jti = token.jti if token is not None else options["jti"]
        common = self._common(options, is_revoked=token is not None and _is_revoked(token))
        seen = self._show_trail(incidents.trail_of_token(token, since=common["since"]))
        self.confirm(_token_question(jti, token, common["lasts"]), yes=options["yes"])
        self._print(incidents.stolen_token(jti=jti, token=token, **common), seen)

    def _common(self, options: dict[str, Any], *, is_revoked: bool) -> dict[str, Any]:
        since = options["since"] or clock.now() - dt.timedelta(days=7)
        # A second run reads the trail, and by then the user may work with a new certificate.
        usual = None if is_revoked else _LOCK
        lasts = None if options["no_lock"] else options["lock"] or usual
        return {"since": since, "lasts": lasts, "reason": options["reason"]}

    def _show_trail(self, facts: Iterable[incidents.Fact]) -> set[incidents.Fact]:
        """Print the trail, and return its rows. The operator reads it before the question."""
        shown = list(facts)
        for fact in shown:
            self.show(at=fact.at, kind=fact.kind, subject=fact.subject, detail=fact.detail)
        return set(shown)

    def _print(self, ended: incidents.Ended, seen: set[incidents.Fact]) -> None:
        """Print the rows that were added since the question, the steps, and the rest that is left to people."""
        self._show_trail(fact for fact in ended.trail if fact not in seen)
        for step in ended.steps:
            self.done(f"Done: {step}", kind="done", detail=step)
        for left in ended.left:
            self.done(f"Left to you: {left}", kind="left", detail=left)

    def _restored_backup(self, options: dict[str, Any]) -> None:
        lines = _read(options["audit"]).splitlines() if options["audit"] else []
        self.confirm("This ends every session, token and authorization.", yes=options["yes"])
        backup_of = incidents.newest_audit_row()
        # First, since the export may lift the lockout of an earlier incident.
        again = list(incidents.reapply(lines, since=backup_of))
        done = incidents.after_restore(stopped_at=options["stopped_at"] or clock.now(), reason=options["reason"])
        for each in again:
            self.show(event=each.event, subject=each.subject, error=each.error)
        until = done.locked_until.isoformat(timespec="seconds") if done.locked_until else ""
        self.done(
            f"Ended: {counted(done.sessions, 'session')}, {counted(done.families, 'authorization')}, "
            f"{counted(done.one_time_tokens, 'one-time token')}, every access token. "
            + (f"Everyone is locked out until {until}." if until else "Nobody is locked out."),
            sessions=done.sessions,
            families=done.families,
            one_time_tokens=done.one_time_tokens,
            locked_until=done.locked_until,
            backup_of=backup_of,
            signing_keys=done.signing_keys,
        )
        if not self._as_json:
            self._print_left(done, backup_of, has_audit=bool(options["audit"]))
        if any(each.error for each in again):
            raise SystemExit(FAILED)

    def _print_left(self, done: incidents.Restored, backup_of: dt.datetime | None, *, has_audit: bool) -> None:
        of = backup_of.isoformat(timespec="seconds") if backup_of else "an unknown instant"
        self.say(f"The newest audit row of the backup is of {of}.")
        if not has_audit:
            self.say(
                "Revocations since then are lost. Make them again: restored-backup --audit EXPORT, or from the log."
            )
        for kid in done.signing_keys:
            self.say(f"The key {kid} verifies again. If it was retired since: securecore_keys retire {kid}")


def _question(thumbprint: str, row: Certificate | None, lasts: dt.timedelta | None) -> str:
    """Return the question before a revocation. It names the owner, since a thumbprint is easily mistaken."""
    if row is None:
        return f"This revokes the certificate {thumbprint}, which is enrolled for nobody, for ever."
    owner = f"user {row.user.get_username()}" if row.user is not None else "no user"
    lock = f" and locks {owner} out for {lasts}" if row.user is not None and lasts is not None else ""
    if row.revoked_at is not None:
        return (
            f"The certificate {thumbprint} ({row.subject}, {owner}) was revoked already. This ends the sessions and "
            f"tokens under it that still live{lock}."
        )
    return f"This revokes the certificate {thumbprint} ({row.subject}, {owner}), for ever{lock}."


def _is_revoked(token: tokens.AccessToken) -> bool:
    row = tokens.revocation_id(issuer=token.issuer, jti=token.jti)
    return RevokedToken.objects.using(settings.DATABASE).filter(pk=row).exists()


def _token_question(jti: str, token: tokens.AccessToken | None, lasts: dt.timedelta | None) -> str:
    """Return the question before the revocation of a token. A bare ``jti`` names no authorization and no user."""
    if token is None:
        return f"This refuses the access token {jti}, and locks nobody out: a jti names no user."
    owner = principals.user(token.subject)
    if lasts is None or owner is None:
        return f"This refuses the access token {jti}, and ends its authorization."
    return f"This refuses the access token {jti}, ends its authorization, and locks {described(owner)} out for {lasts}."


def _is_used(thumbprint: str) -> bool:
    """Say whether a session or an authorization was opened under a certificate that is not enrolled."""
    sessions = Session.objects.using(settings.DATABASE).of_certificate(thumbprint)
    families = RefreshFamily.objects.using(settings.DATABASE).filter(certificate=thumbprint)
    return sessions.exists() or families.exists()


def _doubt(thumbprint: str) -> str:
    """Return the warning about a certificate that no row names: no row but its revocation would change."""
    known = Certificate.objects.using(settings.DATABASE).values_list("pk", flat=True)
    return (
        f"Nothing is known of the certificate {thumbprint}: no enrolment, no session and no token names it. It is "
        "probably mistyped: compare it with securecore_certificates list --find SERIAL."
        + near(thumbprint, known.filter(pk__startswith=thumbprint[:4])[:1_000])
    )


def _verified(text: str) -> tokens.AccessToken:
    """Return the access token, of securecore or, during a move, of simplejwt. Raises ``CommandError``."""
    for verify in (tokens.verify, tokens.simplejwt.verify):
        with suppress(InvalidToken):
            return verify(text, now=clock.now())
    raise CommandError("The token is not good: it has expired, or another service issued it.")


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{quoted_argument(path)} cannot be read: {error}") from None
