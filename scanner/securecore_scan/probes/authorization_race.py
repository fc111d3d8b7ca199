"""A revocation that races with uses of the permission.

The owner uses a permission in several threads while an administrator revokes it. An attempt that begins after the
response to the revocation must have no effect. Two observations count: attempts that began later and succeeded, and
effects that appeared later. Each round restores the permission and waits until it holds again.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import effects
from securecore_scan.client.load import THREADS, Load
from securecore_scan.client.responses import status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Skipped, outcome_of
from securecore_scan.plan import Authorization, Call, Effect
from securecore_scan.rates import rate_text

ROUNDS = 3
#: Seconds of load before each revocation, and at least after its response.
BEFORE, AFTER = 0.15, 0.3
#: Seconds during which a revocation that is answered 503 is sent again.
PATIENCE = 8.0
#: A revocation may take as long as 40 effects: it waits for the effects in progress and for those queued before it.
EFFECTS = 5 * THREADS


@dataclass(frozen=True)
class Measurement:
    """Attempts and times of one or more rounds. Times are seconds since the request to revoke.

    ``late`` of ``tried`` attempts after the response had an effect, in ``lost`` of ``rounds`` rounds. ``held`` is the
    time until the revocation held, ``answered`` the time of its response, ``allowed`` the longest permitted ``held``.
    """

    rounds: int
    lost: int
    late: int
    tried: int
    held: float
    answered: float
    allowed: float


def effects_after_revocation(target: Target) -> Iterator[Outcome]:
    """Count effects of attempts that began after the response to the revocation. Works if any round has one."""
    plan, measured = _plan(target), target.once(_measure)
    yield outcome_of(
        measured.late > 0,
        str(plan.revoke),
        f"{measured.late} of {measured.tried} attempts after the response had an effect ({THREADS} threads)",
        f"an effect after its revocation {rate_text(measured.lost, measured.rounds)}",
    )


def revocation_latency(target: Target) -> Iterator[Outcome]:
    """Measure the time from the request to revoke until no attempt succeeds.

    Works if the longest time exceeds both ``authorization.latency`` of the plan and the duration of 40 effects. The
    cause is then a lock queue that starves the revocation, or a cached permission. On a slow machine the effects are
    slow too, and the revocation passes.
    """
    plan, measured = _plan(target), target.once(_measure)
    held = "never while it was watched" if math.isinf(measured.held) else f"within {measured.held:.2f} s"
    yield outcome_of(
        measured.held > measured.allowed,
        str(plan.revoke),
        f"answered within {measured.answered:.2f} s and held {held}, in {measured.rounds} rounds under load; "
        f"{measured.allowed:.1f} s are allowed",
    )


def _plan(target: Target) -> Authorization:
    if target.plan.authorization is None and target.changes_accounts_only:
        raise NotApplicable("the OpenAPI document lists no effect that could need a permission: [authorization]")
    if target.plan.authorization is None:
        raise Skipped("the plan names no permission to revoke: [authorization]")
    return target.plan.authorization


def _measure(target: Target) -> Measurement:
    plan = _plan(target)
    effect = effects.effect_named(target, plan.effect)
    target.transport.identity("admin")
    measured: list[Measurement] = []
    for _ in range(target.rounds(ROUNDS)):
        try:
            effects.wait_until_allowed(target, effect)
            measured.append(_measure_round(target, plan, effect))
        finally:
            with target.transport.budget.restoring():
                _send_until_decided(target, plan.restore)
        if measured[-1].lost:
            break
    effects.wait_until_allowed(target, effect)
    return Measurement(
        rounds=len(measured),
        lost=sum(one.lost for one in measured),
        late=sum(one.late for one in measured),
        tried=sum(one.tried for one in measured),
        held=max(one.held for one in measured),
        answered=max(one.answered for one in measured),
        allowed=max(one.allowed for one in measured),
    )


def _measure_round(target: Target, plan: Authorization, effect: Effect) -> Measurement:
    captured = effects.capture(target, effect)
    load = Load(target, effect, captured.values["canary"])
    with load.running():
        load.wait(BEFORE, 0.0)
        asked = time.monotonic()
        _send_until_decided(target, plan.revoke)
        answered = time.monotonic()
        # Effects that are counted here may precede the response. Effects that appear later do not.
        before = effects.count(target, captured, ()) if effect.count else 0
        load.wait(AFTER, answered, refused_within=plan.latency + AFTER)
    gained = effects.count(target, captured, ()) - before if effect.count else 0
    attempts = load.decided(answered)
    succeeded = sum(attempt.succeeded for attempt in attempts)
    last = max((one.ended for one in load.attempts if one.succeeded), default=asked)
    usual = statistics.median(one.ended - one.began for one in load.attempts)
    late = max(succeeded, gained)
    return Measurement(
        rounds=1,
        lost=int(late > 0),
        late=late,
        tried=len(attempts),
        held=math.inf if succeeded == len(attempts) else max(last, answered) - asked,
        answered=answered - asked,
        allowed=max(plan.latency, EFFECTS * usual),
    )


def _send_until_decided(target: Target, call: Call) -> None:
    until = time.monotonic() + PATIENCE
    # 503 means that nothing was decided, so the administrator sends the request again.
    while not (answer := target.call(call, "admin")).is_success:
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
            raise Inconclusive(f"{call} answered {status_text(answer)}")
        time.sleep(0.1)


_check = partial(
    Check,
    category="authorization-race",
    owasp="API5:2023",
    securecore="@requires(permission), or grants.authorize(...)",
)
CHECKS = (
    _check(
        "SC-RACE-1",
        "Effects after a revocation was answered",
        severity=Severity.HIGH,
        cwe=(367, 362),
        asvs=("15.4.1", "15.4.2"),
        risk="A user whose permission was revoked goes on, and the log shows the revocation before the effects.",
        remedy="Make check and effect one atomic step: take a lock that the revocation takes too, then read the "
        "permission, and hold the lock until the commit. Never decide by a cached role.",
        run=effects_after_revocation,
    ),
    _check(
        "SC-RACE-2",
        "Time until a revocation holds",
        severity=Severity.MEDIUM,
        cwe=(613, 410),
        asvs=("15.4.4",),
        risk="An attacker who keeps sending requests delays the revocation that should stop him.",
        remedy="Use locks with a fair queue, and cache no role for longer than the revocation waits.",
        run=revocation_latency,
    ),
)
