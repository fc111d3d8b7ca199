"""Runs the checks in order. A check that fails with an error does not end the scan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from securecore_scan.budget import Stopped
from securecore_scan.checks import Check
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Confidence, Inconclusive, NotApplicable, Outcome, Skipped, Verdict, inconclusive
from securecore_scan.results import Result
from securecore_scan.scope import BadTarget


def run(
    target: Target,
    checks: Sequence[Check],
    *,
    reproduce: Callable[[Check], str],
    progress: Callable[[int, Check], None],
) -> Iterator[Result]:
    """Yield the results of every check. Raises ``Stopped`` if the scan must end; the results before it are valid."""
    for number, check in enumerate(checks):
        progress(number, check)
        began, failed = time.monotonic(), target.transport.budget.failed
        for outcome in _outcomes(target, check):
            outcome = _with_an_answer(target, outcome, failed)
            yield Result(check, outcome, time.monotonic() - began, reproduce(check))
            began = time.monotonic()


def _with_an_answer(target: Target, outcome: Outcome, failed: int) -> Outcome:
    """Return INCONCLUSIVE in place of a verdict on a target that never answered, or that is down by now.

    ``failed`` is the number of failed connections before the check. A refused connection may be a protection, and it
    may be a service that has stopped. A request that the service must answer tells them apart.
    """
    if outcome.verdict not in (Verdict.PASS, Verdict.FAIL):
        return outcome
    budget = target.transport.budget
    if budget.answered == 0:
        return inconclusive(outcome.subject, f"{target.transport.origin} has not answered a single time")
    if outcome.verdict is Verdict.PASS and budget.failed > failed and not target.is_alive():
        return inconclusive(outcome.subject, f"{target.transport.origin} no longer answers")
    return outcome


def _outcomes(target: Target, check: Check) -> Iterator[Outcome]:
    try:
        yield from check.run(target)
    except NotApplicable as reason:
        yield Outcome(Verdict.NOT_APPLICABLE, "", (str(reason),), Confidence.LOW)
    except Skipped as reason:
        yield Outcome(Verdict.SKIPPED, "", (str(reason),), Confidence.LOW)
    except Inconclusive as reason:
        yield Outcome(Verdict.INCONCLUSIVE, "", (str(reason),), Confidence.LOW)
    except (Stopped, BadTarget):
        raise
    except Exception as error:
        # The service chooses the bytes that JSON, token, key and certificate parsers read. Their errors have no common
        # base class. An unreadable response must not lose the results of the other checks.
        yield Outcome(Verdict.ERROR, "", (f"{type(error).__name__}: {error}",), Confidence.LOW)
