"""The sentences at the top of the control room: each names a fact that needs an operator, and the next step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils import timezone

from securecore.caller.presented import ON_LIST
from securecore.control_room.bounded import Count
from securecore.control_room.figures import Figures
from securecore.control_room.refusals import Pair
from securecore.errors import CertificateRevoked, LockedOut
from securecore.purge import FINISHED

#: Seconds. A wait at a gate that an operator should see; ``LOCK_TIMEOUT`` is 2 s by default.
_LONG_WAIT = 1.0
#: Seconds. The alert rule SecurecorePurgeLags has the same number.
LATE = 6 * 3_600
#: A wave: so many refusals in the last hour, and so many times as many as in a mean hour of the week.
_WAVE, _TIMES = 100, 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact that needs an operator. ``is_urgent``: a protection fails, or callers cannot work.

    ``section`` is the id of the section with the figures. ``step`` is the next step: a command, or the page of the
    manual.
    """

    section: str
    text: str
    step: str
    is_urgent: bool = False


def findings_of(figures: Figures) -> list[Finding]:
    """Return the findings, the urgent ones first."""
    found = [finding for look in _LOOKS for finding in look(figures)]
    return sorted(found, key=lambda finding: not finding.is_urgent)


def _promises(figures: Figures) -> Iterator[Finding]:
    broken = [each.id for each in figures.promises if each.outcome == "broken"]
    untried = [each.id for each in figures.promises if not each.is_good and each.outcome != "broken"]
    if broken:
        yield Finding("promises", f"This deployment breaks {', '.join(broken)}.", "docs/prove.md", is_urgent=True)
    if len(untried) == len(figures.promises):
        yield Finding("promises", "Nobody has tried the promises of this deployment.", "manage.py securecore_prove")
    elif untried:
        step = f"manage.py securecore_prove {' '.join(untried)}"
        yield Finding("promises", f"These promises have no verdict: {', '.join(untried)}.", step)


def _lists(figures: Figures) -> Iterator[Finding]:
    for each in figures.lists.rows:
        step = "manage.py securecore_certificates crl FILE --authority ca.pem"
        if each.has_ended:
            effect = (
                "Every certificate of the issuer is refused."
                if each.row.refuses_when_expired
                else "Certificates that the authority revoked since are accepted."
            )
            yield Finding("lists", f"The revocation list of {each.row.issuer} has ended. {effect}", step, True)
        elif each.is_near:
            yield Finding("lists", f"The revocation list of {each.row.issuer} ends within 24 hours.", step)


def _lockouts(figures: Figures) -> Iterator[Finding]:
    if figures.is_everyone_locked_out:
        yield Finding("lockouts", "Everyone is locked out.", "manage.py securecore_lock list", is_urgent=True)


def _refusals(figures: Figures) -> Iterator[Finding]:
    pairs = [pair for pair in figures.refused.pairs if not _is_known(pair)]
    hour, week = sum(pair.hour for pair in pairs), sum(pair.week for pair in pairs)
    if hour >= _WAVE and hour * 168 > _TIMES * week:
        most = pairs[0]
        share = f"{most.hour:,} of them are {most.code}"
        yield Finding("refusals", f"A wave: {hour:,} refusals in the last hour; {share}.", _runbook(most), True)


def _is_known(pair: Pair) -> bool:
    """Return whether an operator of this service causes these refusals, by a lockout or a revocation.

    They are no wave. The refusals of certificates that a revocation list names may be one: the authority may list too
    many.
    """
    return pair.code == LockedOut.code or (pair.code == CertificateRevoked.code and pair.reason != ON_LIST)


def _runbook(pair: Pair) -> str:
    """Return the runbook of a wave: that of 409 or 503, or for each other status that of 401."""
    return f"docs/runbooks/wave-of-{pair.status if pair.status in (409, 503) else 401}.md"


def _known_refusals(figures: Figures) -> Iterator[Finding]:
    hour = Counter[str]()
    for pair in filter(_is_known, figures.refused.pairs):
        hour[pair.code] += pair.hour
    for code, count in hour.items():
        if count >= _WAVE:
            text = f"{count:,} refusals in the last hour are {code}{_since(figures) if code == LockedOut.code else ''}."
            yield Finding("refusals", text, "docs/runbooks/wave-of-401.md")


def _since(figures: Figures) -> str:
    """Return the lockout in force that began last: the rest of a sentence, empty without a lockout."""
    if not figures.lockouts.rows:
        return ""
    last = max(figures.lockouts.rows, key=lambda lockout: lockout.locked_at)
    more = f", the last of {figures.lockouts.count} lockouts" if figures.lockouts.count.number > 1 else ""
    return f", since the lockout of {last.subject} at {timezone.localtime(last.locked_at):%H:%M}{more}"


def _gates(figures: Figures) -> Iterator[Finding]:
    late = [each for each in figures.gates.waiting if each.seconds >= _LONG_WAIT]
    if late:
        text = f"{_number(len(late), 'session')} of the database waited for a second or longer."
        yield Finding("gates", text, "docs/runbooks/wave-of-503.md", is_urgent=True)


def _certificates(figures: Figures) -> Iterator[Finding]:
    certificates = figures.certificates
    step = "manage.py securecore_certificates expiring"
    if certificates.overdue.count:
        text = f"{_number(certificates.overdue.count, 'certificate')} ended without a renewal."
        yield Finding("certificates", text, step)
    if certificates.expiring.count:
        ends = f"within {certificates.days} days, and no renewal is enrolled."
        yield Finding("certificates", f"{_number(certificates.expiring.count, 'certificate')} will end {ends}", step)


def _purge(figures: Figures) -> Iterator[Finding]:
    purge, step = figures.purge, "manage.py securecore_purge"
    if purge.last is None:
        yield Finding("purge", "The purge has never run.", step)
    if purge.lags and purge.lags[0].seconds > LATE:
        yield Finding("purge", f"The purge is {purge.lags[0].lasting} behind in {purge.lags[0].table}.", step)
    elif purge.last is not None and purge.last.outcome != FINISHED:
        yield Finding("purge", "The last purge stopped at its time limit.", step)


def _observed(figures: Figures) -> Iterator[Finding]:
    if day := figures.observed.total("day"):
        text = f"Observe mode let {_number(day, 'request')} of the last day pass that would be refused."
        yield Finding("observed", text, "docs/observe.md")


def _number(count: Count | int, noun: str) -> str:
    counted = count if isinstance(count, Count) else Count(count)
    return f"{counted} {noun}" if str(counted) == "1" else f"{counted} {noun}s"


_LOOKS: tuple[Callable[[Figures], Iterator[Finding]], ...] = (
    _promises,
    _lists,
    _lockouts,
    _refusals,
    _known_refusals,
    _gates,
    _certificates,
    _purge,
    _observed,
)
