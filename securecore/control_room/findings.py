"""The sentences at the top of the control room: each names a fact that needs an operator, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from securecore.control_room.bounded import Count
from securecore.control_room.figures import Figures
from securecore.purge import FINISHED

#: Seconds. A wait at a gate that an operator should see; ``LOCK_TIMEOUT`` is 2 s by default.
_LONG_WAIT = 1.0
#: Seconds. The alert rule SecurecorePurgeLags has the same number.
LATE = 6 * 3_600
#: A wave: so many refusals in the last hour, and so many times as many as in a mean hour of the week.
_WAVE, _TIMES = 100, 5


@dataclass(frozen=True, slots=True)
class Finding:
    """``section`` is the id of the section with the figures. ``is_urgent``: a protection fails, or callers cannot work.

    ``step`` is the next step: a command, or the page of the manual.
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
    hour, week = figures.refused.total("hour"), figures.refused.total("week")
    if hour >= _WAVE and hour * 168 > _TIMES * week:
        most = figures.refused.pairs[0]
        name = f"wave-of-{most.status}" if most.status in (401, 409, 503) else "README"
        share = f"{most.hour:,} of them are {most.code}"
        yield Finding(
            "refusals", f"A wave: {hour:,} refusals in the last hour; {share}.", f"docs/runbooks/{name}.md", True
        )


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
    _gates,
    _certificates,
    _purge,
    _observed,
)
