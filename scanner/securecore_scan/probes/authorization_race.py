"""A permission that is taken away while it is used.

The owner uses a permission in several threads, an administrator takes it away. What begins after the administrator's
answer and has an effect all the same outran the revocation. Judged twice: by the attempts that began later and
succeeded, and by the effects that appeared later. Every round gives the permission back, and waits until it is there.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import httpx

from securecore_scan.client import effects
from securecore_scan.client.target import Target, described
from securecore_scan.estimates import rounds_said
from securecore_scan.plan import Authorization, Effect
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged

ROUNDS, THREADS = 3, 8
#: Seconds of effects before each revocation, and after its answer, at least.
BEFORE, AFTER = 0.15, 0.3
#: Seconds after which a revocation that does not hold is no longer waited for, or a slow machine.
PATIENCE = 8.0
#: Seconds between two attempts of a thread: load, not a flood.
PAUSE = 0.005
#: A revocation may take as long as so many effects: it waits for those under way, and for some that came before it.
EFFECTS = 5 * THREADS


@dataclass
class Attempt:
    """One effect that was tried: when it began and ended, and its status."""

    began: float
    ended: float
    status: int

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Hammer:
    """One effect, in a loop in every thread, with one canary and ever new keys."""

    target: Target
    effect: Effect
    canary: str
    stop: threading.Event = field(default_factory=threading.Event)
    attempts: list[Attempt] = field(default_factory=list)

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                request = effects.capture(self.target, self.effect, canary=self.canary).request
                began = time.monotonic()
                answer = self.target.wire.send(request)
                self.attempts.append(Attempt(began, time.monotonic(), answer.status_code))
                time.sleep(PAUSE)
        finally:
            # One that cannot go on ends the round: nobody waits for the others.
            self.stop.set()

    def decided(self, since: float) -> list[Attempt]:
        """Return the attempts that began since then and were decided: a 5xx decides nothing."""
        return [attempt for attempt in list(self.attempts) if attempt.began > since and attempt.status < 500]

    def wait(self, seconds: float, since: float, *, refused_within: float | None = None) -> None:
        """Wait so long, and until each thread could have tried once; and with ``refused_within`` until one was refused,
        but no longer than that. Raises ``NotJudged`` if nothing happens.
        """
        began = time.monotonic()
        while not self.stop.is_set():
            seen, passed = self.decided(since), time.monotonic() - began
            waits = (
                refused_within is not None and all(attempt.succeeded for attempt in seen) and passed < refused_within
            )
            if passed >= seconds and len(seen) >= THREADS and not waits:
                return
            if passed > PATIENCE:
                raise NotJudged(f"too slow for a race: {len(seen)} attempts in {PATIENCE:.0f} s")
            time.sleep(0.02)


@dataclass(frozen=True)
class Outcome:
    """What some rounds showed: how many outran the revocation, of how many after it; and the longest time until one
    held, in seconds, counted from the administrator's request.
    """

    rounds: int
    lost: int
    outran: int
    tried: int
    slowest: float
    answered: float
    allowed: float


def outrun(target: Target) -> Iterator[Seen]:
    """Look for effects that began after the answer to the revocation. Works if there is one in any round."""
    plan, outcome = _plan(target), target.once(_rounds)
    yield judged(
        outcome.outran > 0,
        str(plan.revoke),
        f"{outcome.outran} of {outcome.tried} attempts after the answer had an effect ({THREADS} threads)",
        f"an effect after its revocation {rounds_said(outcome.lost, outcome.rounds)}",
    )


def latency(target: Target) -> Iterator[Seen]:
    """Measure, from the request to revoke, the time until no effect succeeds any more. Works if the longest is above
    the plan's limit, and above what so many effects take: then a revocation is starved by its own victim, or waits for
    a cache. On a slow machine both are slow, and that is no finding.
    """
    plan, outcome = _plan(target), target.once(_rounds)
    held = "not while it was watched" if math.isinf(outcome.slowest) else f"after {outcome.slowest:.2f} s at the latest"
    yield judged(
        outcome.slowest > outcome.allowed,
        str(plan.revoke),
        f"answered within {outcome.answered:.2f} s and held {held}, in {outcome.rounds} rounds under load; "
        f"{outcome.allowed:.1f} s are allowed",
    )


def _plan(target: Target) -> Authorization:
    if target.plan.authorization is None:
        raise Skipped("the plan names no permission to take away: [authorization]")
    return target.plan.authorization


def _rounds(target: Target) -> Outcome:
    plan = _plan(target)
    effect = effects.named(target, plan.effect)
    target.wire.identity("admin")
    seen = []
    for _ in range(target.rounds(ROUNDS)):
        try:
            effects.ready(target, effect)
            seen.append(_round(target, plan, effect))
        finally:
            with target.wire.budget.tidying():
                _change(target, "restore")
        if seen[-1].lost:
            break
    effects.ready(target, effect)
    return Outcome(
        rounds=len(seen),
        lost=sum(one.lost for one in seen),
        outran=sum(one.outran for one in seen),
        tried=sum(one.tried for one in seen),
        slowest=max(one.slowest for one in seen),
        answered=max(one.answered for one in seen),
        allowed=max(one.allowed for one in seen),
    )


def _round(target: Target, plan: Authorization, effect: Effect) -> Outcome:
    captured = effects.capture(target, effect)
    hammer = Hammer(target, effect, captured.values["canary"])
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        threads = [pool.submit(hammer.run) for _ in range(THREADS)]
        try:
            hammer.wait(BEFORE, 0.0)
            asked = time.monotonic()
            _change(target, "revoke")
            answered = time.monotonic()
            # What is there now may have been there when the answer left. What comes later was not.
            before = effects.count(target, captured, ()) if effect.count else 0
            hammer.wait(AFTER, answered, refused_within=plan.latency + AFTER)
        finally:
            hammer.stop.set()
        for thread in threads:
            thread.result()
    gained = effects.count(target, captured, ()) - before if effect.count else 0
    late = hammer.decided(answered)
    succeeded = sum(attempt.succeeded for attempt in late)
    last = max((one.ended for one in hammer.attempts if one.succeeded), default=asked)
    held = math.inf if succeeded == len(late) else max(last, answered) - asked
    usual = statistics.median(one.ended - one.began for one in hammer.attempts)
    outran = max(succeeded, gained)
    allowed = max(plan.latency, EFFECTS * usual)
    return Outcome(1, int(outran > 0), outran, len(late), held, answered - asked, allowed)


def _change(target: Target, which: str) -> None:
    plan = _plan(target)
    call = plan.revoke if which == "revoke" else plan.restore
    until = time.monotonic() + PATIENCE
    # 503 says that nothing was decided, so an administrator asks again.
    while not (answer := target.call(call, "admin")).is_success:
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
            raise NotJudged(f"{call} answered {described(answer)}")
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
        risk="Whoever was locked out goes on, and the log says that he was locked out before.",
        remedy="Make the check and the effect one step: take a lock that the revocation takes too, then read the "
        "permission, and hold the lock until the commit. Never decide by a cached role.",
        run=outrun,
    ),
    _check(
        "SC-RACE-2",
        "The time until a revocation holds",
        severity=Severity.MEDIUM,
        cwe=(613, 410),
        asvs=("15.4.4",),
        risk="An account that is being abused can be stopped only when the abuse pauses.",
        remedy="Let locks queue fairly, and keep no role longer than the revocation waits.",
        run=latency,
    ),
)
