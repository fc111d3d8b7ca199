"""Every attack on both services, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import httpx

from demo_project.tour import fixation, memory, race, replay, tokens
from demo_project.tour.client import NotJudged, Probe, Service

ATTACKS: tuple[ModuleType, ...] = (replay, tokens, fixation, race, memory)
#: Each attack by the name of its module.
BY_NAME = {attack.__name__.rpartition(".")[2]: attack for attack in ATTACKS}


@dataclass(frozen=True)
class Outcome:
    """The result of one attack on one service. ``trouble`` says why the attack could not be finished."""

    probes: tuple[Probe, ...]
    trouble: str = ""

    @property
    def is_complete(self) -> bool:
        return bool(self.probes) and not self.trouble

    @property
    def verdict(self) -> str:
        """Return ``FELL`` or ``FELL to`` a number of probes, ``held`` if none succeeded, or ``not judged``."""
        succeeded = sum(probe.succeeded for probe in self.probes)
        if succeeded:
            return "FELL" if succeeded == len(self.probes) else f"FELL to {succeeded} of {len(self.probes)}"
        return "held" if self.is_complete else "not judged"


@dataclass(frozen=True)
class Result:
    """One attack on both services."""

    title: str
    unprotected: Outcome
    protected: Outcome

    @property
    def is_as_it_should_be(self) -> bool:
        """Say whether no probe succeeded on the protected service and each succeeded on the twin, so that each is a
        real attack.
        """
        unprotected, protected = self.unprotected, self.protected
        return unprotected.is_complete and (unprotected.verdict, protected.verdict) == ("FELL", "held")


def run(*, unprotected: Service, protected: Service) -> Iterator[Result]:
    """Carry out every attack, first on the twin: an attack that fails even there needs no protection."""
    for attack in ATTACKS:
        yield attacked(attack, unprotected=unprotected, protected=protected)


def attacked(attack: ModuleType, *, unprotected: Service, protected: Service) -> Result:
    """Carry out one attack on both services."""
    return Result(attack.TITLE, _outcome(attack, unprotected), _outcome(attack, protected))


def lines(result: Result) -> Iterator[tuple[str, str, str]]:
    """Describe a result in rows of three: the probe, its result on the twin, its result on the protected service."""
    yield result.title, result.unprotected.verdict, result.protected.verdict
    for name, unprotected, protected in pairs(result):
        yield f"  {name}", _evidence(unprotected), _evidence(protected)
    for outcome, place in ((result.unprotected, 1), (result.protected, 2)):
        if outcome.trouble:
            row = ["  not judged to the end", "", ""]
            row[place] = outcome.trouble
            yield row[0], row[1], row[2]


def pairs(result: Result) -> Iterator[tuple[str, Probe | None, Probe | None]]:
    """Yield the name of each probe, with its outcome on the twin and on the protected service."""
    unprotected, protected = (
        {probe.name: probe for probe in side.probes} for side in (result.unprotected, result.protected)
    )
    for name in unprotected | protected:
        yield name, unprotected.get(name), protected.get(name)


def _outcome(attack: ModuleType, service: Service) -> Outcome:
    probes: list[Probe] = []
    try:
        for probe in attack.attack(service):
            probes.append(probe)
    except NotJudged as reason:
        return Outcome(tuple(probes), str(reason))
    except (httpx.HTTPError, OSError, KeyError, ValueError) as error:
        return Outcome(tuple(probes), f"{type(error).__name__}: {error}")
    return Outcome(tuple(probes))


def _evidence(probe: Probe | None) -> str:
    return probe.evidence if probe else "-"
