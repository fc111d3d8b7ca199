"""The ways in which a primary ends, and the repair of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.failover.cluster import Cluster, freeze, kill, thaw

#: The links of a member. A cut network means all of them.
_LINKS = ("app", "members", "rest", "etcd")


@dataclass(frozen=True)
class Failure:
    """``begin(cluster, member)`` ends the primary, ``end(cluster, member)`` brings the member back as a standby."""

    name: str
    begin: Callable[[Cluster, str], None]
    end: Callable[[Cluster, str], None]


def _kill(cluster: Cluster, member: str) -> None:
    kill(cluster.processes(member))


def _stop(cluster: Cluster, member: str) -> None:
    freeze(cluster.processes(member))


def _thaw(cluster: Cluster, member: str) -> None:
    thaw(cluster.processes(member))


def _cut(cluster: Cluster, member: str) -> None:
    cluster.link("cut", *(f"{member}-{link}" for link in _LINKS))


def _mend(cluster: Cluster, member: str) -> None:
    cluster.link("mend", *(f"{member}-{link}" for link in _LINKS))


def cut_replication(cluster: Cluster, member: str) -> None:
    """Cut the link by which the standbys of ``member`` get its commits. Patroni and the application keep theirs."""
    cluster.link("cut", f"{member}-members")


def _restart(cluster: Cluster, member: str) -> None:
    _mend(cluster, member)  # a round with asynchronous standbys has cut the replication
    cluster.run_member(member)


KILLED = Failure("killed", _kill, _restart)
STOPPED = Failure("stopped", _stop, _thaw)
CUT_OFF = Failure("cut-off", _cut, _mend)
EVERY = (KILLED, STOPPED, CUT_OFF)
