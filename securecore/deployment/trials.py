"""The interface of a trial: one promise, the attempt to break it, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from securecore.deployment.concurrent_connections import ConcurrentConnections


class Outcome(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    #: The trial itself failed or had no time, so the deployment may break the promise.
    NOT_TRIED = "not tried"
    #: One process cannot see the answer.
    NOT_PROVABLE = "not provable"
    #: The promise is broken, and the settings in force do not use it.
    UNUSED = "not used"


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    #: The measured facts, on one line, without any secret.
    detail: str


def kept(detail: str) -> Verdict:
    return Verdict(Outcome.KEPT, detail)


def broken(detail: str) -> Verdict:
    return Verdict(Outcome.BROKEN, detail)


def not_tried(detail: str) -> Verdict:
    return Verdict(Outcome.NOT_TRIED, detail)


def not_provable(detail: str) -> Verdict:
    return Verdict(Outcome.NOT_PROVABLE, detail)


#: For ``Trial.vendors``.
POSTGRESQL = ("postgresql",)


@dataclass(frozen=True, slots=True)
class Trial:
    """One promise. ``id`` is the heading of its section in docs/prove.md.

    ``run`` returns the verdict. It may raise any error: ``Misuse`` means broken, every other error means not tried.
    """

    id: str
    promise: str
    run: Callable[[ConcurrentConnections], Verdict]
    #: The databases that can break the promise.
    vendors: tuple[str, ...] = ("postgresql", "sqlite")
