"""Observe mode: a protection decides, records that it would refuse, and lets the request pass.

A project switches its protections on one by one, by the setting ``OBSERVE`` for every view or by ``@observe`` for one
view. Only a protection in ``conf.OBSERVABLE`` can observe. Identity, sessions, tokens and revocations always refuse. So
does each refusal that keeps an effect from happening twice: a repeated nonce, another request under the same
idempotency key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from securecore import actors, audit, events, meters
from securecore.conf import OBSERVABLE, settings
from securecore.errors import Misuse

#: The beginning of the code under which a request that passed is counted, beside the refusals.
OBSERVED = "observed:"

_observing: ContextVar[frozenset[str]] = ContextVar("securecore_observing", default=frozenset())


def require_observable(*protections: str) -> frozenset[str]:
    """Return ``protections`` as a set. Raises ``Misuse`` for none, and for one that cannot observe."""
    if not protections or (unknown := [each for each in protections if each not in OBSERVABLE]):
        wrong = repr(unknown[0]) if protections else "nothing"
        raise Misuse(f"@observe() got {wrong}: name some of {', '.join(map(repr, OBSERVABLE))}.")
    return frozenset(protections)


@contextmanager
def observing(protections: frozenset[str]) -> Iterator[None]:
    """Let ``protections`` only observe in this block."""
    token = _observing.set(_observing.get() | protections)
    try:
        yield
    finally:
        _observing.reset(token)


def is_observed(protection: str) -> bool:
    """Return whether ``protection`` only observes here: by the setting, or by ``@observe`` on the view."""
    return protection in settings.OBSERVE or protection in _observing.get()


def lets_pass(protection: str, *, code: str, reason: str) -> bool:
    """Return whether a request passes that ``protection`` would refuse with ``code``; if it does, record that.

    Records an event, a metric and a count by minute (``observed:CODE``). Runs no statement.
    """
    if not is_observed(protection):
        return False
    actor = actors.actor()
    events.emit(
        events.WouldRefuse(
            code=code, protection=protection, reason=reason, actor=actor.name, request_id=actor.request_id
        )
    )
    meters.WOULD_REFUSE.add(code)
    audit.refusal_counts.count(code=OBSERVED + code, reason=reason)
    return True
