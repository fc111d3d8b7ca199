"""All checks, in order, each on its own: what one cannot do keeps no other from trying."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from securecore_scan.client.target import Target
from securecore_scan.limits import BadTarget, Stopped
from securecore_scan.verdict import CATEGORIES, Check, Confidence, NotJudged, Result, Seen, Severity, Skipped, Verdict

#: How heavily a finding weighs in a category's score.
_WEIGHTS = {Severity.CRITICAL: 10, Severity.HIGH: 6, Severity.MEDIUM: 3, Severity.LOW: 1, Severity.INFO: 0}
_DECIDED = (Verdict.PASS, Verdict.FAIL)


@dataclass(frozen=True)
class Report:
    """What a scan found. ``stopped`` says why it ended early."""

    url: str
    results: tuple[Result, ...]
    seconds: float
    requests: int
    stopped: str = ""
    routes: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether it ran to its end, without an error, and decided anything at all."""
        verdicts = [result.seen.verdict for result in self.results]
        return not self.stopped and Verdict.ERROR not in verdicts and any(found in _DECIDED for found in verdicts)

    def findings(self, at_least: Severity = Severity.INFO) -> list[Result]:
        """Return what works and was not accepted, the worst first."""
        found = [one for one in self.results if one.is_finding and one.check.severity >= at_least]
        return sorted(found, key=lambda one: -one.check.severity)

    def score(self, category: str) -> int | None:
        """Return 0 to 100: the weight of what held among what was decided, None if nothing was."""
        decided = [one for one in self.results if one.check.category == category and one.seen.verdict in _DECIDED]
        weights = [_WEIGHTS[one.check.severity] for one in decided]
        if not sum(weights):
            return None
        lost = sum(_WEIGHTS[one.check.severity] for one in decided if one.is_finding)
        return round(100 * (1 - lost / sum(weights)))

    def categories(self) -> Iterator[tuple[str, str, list[Result]]]:
        """Return each category that has results: its key, its title, and they."""
        for key, title in CATEGORIES.items():
            results = [one for one in self.results if one.check.category == key]
            if results:
                yield key, title, results


def run(
    target: Target,
    checks: Sequence[Check],
    *,
    reproduce: Callable[[Check], str],
    progress: Callable[[int, Check], None],
) -> Iterator[Result]:
    """Yield what every check found. Raises ``Stopped`` when the scan must end; what was yielded counts."""
    for number, check in enumerate(checks):
        progress(number, check)
        began = time.monotonic()
        for seen in _seen(target, check):
            yield Result(check, seen, time.monotonic() - began, reproduce(check))
            began = time.monotonic()


def _seen(target: Target, check: Check) -> Iterator[Seen]:
    try:
        yield from check.run(target)
    except Skipped as reason:
        yield Seen(Verdict.SKIPPED, "", (str(reason),), Confidence.LOW)
    except NotJudged as reason:
        yield Seen(Verdict.INCONCLUSIVE, "", (str(reason),), Confidence.LOW)
    except (Stopped, BadTarget):
        raise
    except Exception as error:
        # A service that answers what nobody expects is no reason to lose the other checks, and what reads it (JSON,
        # tokens, keys, certificates) raises errors of many families.
        yield Seen(Verdict.ERROR, "", (f"{type(error).__name__}: {error}",), Confidence.LOW)
