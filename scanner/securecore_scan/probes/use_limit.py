"""A thing that may be used so many times, used by many at once."""

from __future__ import annotations

from collections.abc import Iterator

from securecore_scan.client.target import Target, at, body, refused, tallied
from securecore_scan.client.wire import COPIES
from securecore_scan.estimates import rounds_said
from securecore_scan.plan import Limit
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged

ROUNDS = 3


def overrun(target: Target) -> Iterator[Seen]:
    """Use it sixteen times at once, last bytes synchronised. Works if more uses succeed than it has."""
    limit = target.plan.limit
    if limit is None:
        raise Skipped("the plan names nothing that may be used so many times: [limit]")
    # Without a new one for each round there is one round: what was used up stays used up.
    rounds, over, seen = target.rounds(ROUNDS) if limit.prepare else 1, 0, ""
    for done in range(1, rounds + 1):
        prepared = _prepared(target, limit)
        # Each with a key of its own: what is asked is how often it may be used, not how often it may be sent.
        requests = [target.prepared(limit.use, target.values(prepared=prepared)) for _ in range(COPIES)]
        answers = target.wire.at_once(requests)
        used = sum(answer.is_success for answer in answers)
        if used == 0:
            raise NotJudged(f"{limit.use} succeeded not once: {tallied(answers)}")
        over += used > limit.allowed
        seen = f"used {used} times, {limit.allowed} allowed, {COPIES} tried at once ({tallied(answers)})"
        if over:
            rounds = done
            break
    yield judged(over > 0, str(limit.use), seen, f"an overrun {rounds_said(over, rounds)}")


def _prepared(target: Target, limit: Limit) -> str:
    if limit.prepare is None:
        return ""
    answer = target.call(limit.prepare)
    code = None if refused(answer) else at(body(answer), limit.field)
    if not isinstance(code, str | int):
        raise NotJudged(f"{limit.prepare} gave nothing at {limit.field!r}")
    return target.secrets.add(str(code), "prepared code")


CHECKS = (
    Check(
        "SC-LIMIT-1",
        "More uses at once than there are",
        category="authorization-race",
        severity=Severity.HIGH,
        cwe=(367, 362),
        owasp="API6:2023",
        asvs=("2.3.4", "15.4.2"),
        risk="A voucher, a code or a quota is used as often as requests arrive in the same instant.",
        remedy="Use it up with one statement whose row count decides (UPDATE ... WHERE used < allowed, DELETE), "
        "or under a lock that is held until the commit.",
        securecore="securecore.tokens.one_time.consume, or a grant that is used up",
        run=overrun,
    ),
)
