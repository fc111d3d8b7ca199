"""An object with a limited number of uses, such as a voucher, used by concurrent requests."""

from __future__ import annotations

from collections.abc import Iterator

from securecore_scan.checks import Check, Severity
from securecore_scan.client import races
from securecore_scan.client.request import build
from securecore_scan.client.responses import count_statuses, is_refused, json_field, require_json
from securecore_scan.client.target import Target
from securecore_scan.client.transport import COPIES
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Skipped, outcome_of
from securecore_scan.plan import Limit

ROUNDS = 3


def overrun(target: Target) -> Iterator[Outcome]:
    """Use one object in 16 concurrent requests. Works if more requests succeed than the object has uses."""
    limit = target.plan.limit
    if limit is None and target.changes_accounts_only:
        raise NotApplicable("the OpenAPI document lists no object that could be used up: [limit]")
    if limit is None:
        raise Skipped("the plan names no object with a limited number of uses: [limit]")

    def attack(send: races.Send) -> tuple[bool, str]:
        prepared = _prepare(target, limit)
        # Each request has its own idempotency key: the attack is on the limit, and not on repeated requests.
        answers = send([build(limit.use, target.values(prepared=prepared)) for _ in range(COPIES)])
        used = sum(answer.is_success for answer in answers)
        if used == 0:
            raise Inconclusive(f"{limit.use} never succeeded: {count_statuses(answers)}")
        return used > limit.allowed, (
            f"used {used} times, {limit.allowed} allowed, {COPIES} tried together ({count_statuses(answers)})"
        )

    # Without ``prepare`` a used object stays used, so a second round would find nothing to use.
    race = races.run(target, target.rounds(ROUNDS), attack) if limit.prepare else races.once(target, attack)
    yield outcome_of(race.worked, str(limit.use), *race.evidence("an overrun"))


def _prepare(target: Target, limit: Limit) -> str:
    if limit.prepare is None:
        return ""
    answer = target.call(limit.prepare)
    code = None if is_refused(answer) else json_field(require_json(answer), limit.field)
    if not isinstance(code, str | int):
        raise Inconclusive(f"{limit.prepare} returned no {limit.field!r}")
    return target.redactor.add(str(code), "prepared code")


CHECKS = (
    Check(
        "SC-LIMIT-1",
        "More concurrent uses than allowed",
        category="authorization-race",
        severity=Severity.HIGH,
        cwe=(367, 362),
        owasp="API6:2023",
        asvs=("2.3.4", "15.4.2"),
        risk="A voucher, code or quota is used once for each request that arrives in the same instant.",
        remedy="Consume a use with one statement whose row count decides (UPDATE ... WHERE used < allowed, DELETE), "
        "or under a lock that is held until the commit.",
        securecore="securecore.tokens.one_time.consume, or a consumable grant",
        run=overrun,
    ),
)
