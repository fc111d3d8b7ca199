"""Sends requests that arrive together, in rounds, by each way that the port allows.

A race that one way misses, the other may hit: a load balancer spreads 16 connections over its workers, and keeps the
streams of one HTTP/2 connection in one of them.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from securecore_scan.client import last_byte, single_packet
from securecore_scan.client.request import Request
from securecore_scan.client.target import Target
from securecore_scan.client.transport import COPIES, Transport
from securecore_scan.outcomes import Inconclusive
from securecore_scan.rates import rate_text


class Way(enum.StrEnum):
    """The way in which concurrent requests arrive together."""

    SINGLE_PACKET = "one packet over HTTP/2"
    LAST_BYTE = "synchronised last bytes"


Send = Callable[[Sequence[Request]], list[httpx.Response]]


@dataclass(frozen=True)
class Race:
    """The rounds of an attack by concurrent requests. ``worked`` says whether the last of them worked."""

    worked: bool
    seen: str
    ways: tuple[Way, ...]
    #: The reason if the attack was not tried over HTTP/2.
    untried: str

    def evidence(self, event: str) -> tuple[str, ...]:
        """Name the observation of the last round, how often ``event`` happened, and which ways were tried."""
        rounds = ", ".join(f"{number} with {way}" for way, number in Counter(self.ways).items())
        untried = f"; not tried over HTTP/2: {self.untried}" if self.untried else ""
        rate = rate_text(int(self.worked), len(self.ways))
        return (f"{self.ways[-1]}: {self.seen}", f"{event} {rate}", f"rounds: {rounds}{untried}")


def run(target: Target, rounds: int, attack: Callable[[Send], tuple[bool, str]], role: str = "owner") -> Race:
    """Repeat ``attack`` for ``rounds`` rounds by each way, until it works.

    ``attack`` sends its requests by the function that it is given, and returns whether it worked and a description.
    """
    ways: list[Way] = []
    seen = untried = ""
    for way in Way:
        try:
            _require(target, way, role)
            for _ in range(rounds):
                worked, seen = attack(partial(send, target.transport, way=way, role=role))
                ways.append(way)
                if worked:
                    return Race(True, seen, tuple(ways), untried)
        except single_packet.Unavailable as reason:
            untried = str(reason)
    return Race(False, seen, tuple(ways), untried)


def _require(target: Target, way: Way, role: str) -> None:
    """Raises ``single_packet.Unavailable`` before the attack prepares anything that only one way would use up."""
    if way is Way.SINGLE_PACKET:
        single_packet.require(target.transport, role)


def once(target: Target, attack: Callable[[Send], tuple[bool, str]], role: str = "owner") -> Race:
    """Attack in one round, by the first way that the port allows: a second round would find nothing to attack."""
    untried = ""
    for way in Way:
        try:
            _require(target, way, role)
            worked, seen = attack(partial(send, target.transport, way=way, role=role))
        except single_packet.Unavailable as reason:
            untried = str(reason)
        else:
            return Race(worked, seen, (way,), untried)
    raise AssertionError("last-byte synchronisation is always available")


def send(transport: Transport, requests: Sequence[Request], way: Way, role: str = "owner") -> list[httpx.Response]:
    """Send the requests so that they arrive together, and return the responses.

    Fewer than half of the responses prove nothing: then raises ``Inconclusive``, or, over HTTP/2,
    ``single_packet.Unavailable``, because the other way is left.
    """
    if len(requests) > COPIES:
        raise ValueError(f"at most {COPIES} requests together")
    act, failure = (
        (single_packet.send, single_packet.Unavailable) if way is Way.SINGLE_PACKET else (last_byte.send, Inconclusive)
    )
    answers = act(transport, requests, role)
    transport.budget.record_race([None if answer is None else answer.status_code for answer in answers])
    answered = [answer for answer in answers if answer is not None]
    if len(answered) * 2 < len(requests):
        raise failure(f"{len(answered)} of {len(requests)} concurrent requests were answered")
    return answered
