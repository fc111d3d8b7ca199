"""Carry the work of a race: in threads of this process, or in processes on three hosts.

``python -m tools.hosts --races`` starts the hosts and names them in ``RACES_HOSTS``; without it races run in threads. A
process on a host is a fork of this one in the host's network namespace, with the host's clock and a connection of its
own, through PgBouncer if there is one. A fork shares no memory, so such a race synchronizes by ``multiprocessing``, and
a result travels by ``pickle``.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import itertools
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from django.db import connection, connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase

ENVIRONMENT = "RACES_HOSTS"
_CLONE_NEWNET = 0x40000000
_fork = multiprocessing.get_context("fork")


class Carrier(Protocol):
    """Running work. ``result()`` returns what it returned, or raises its exception again."""

    def is_alive(self) -> bool: ...

    def join(self, timeout: float) -> None: ...

    def result(self) -> Any: ...


@dataclass(frozen=True)
class Host:
    """A network namespace, named by a process in it, and the seconds by which its clock is ahead."""

    process: int
    ahead: int

    def enter(self) -> None:
        """Move this process into the namespace, and set its clock."""
        with open(f"/proc/{self.process}/ns/net") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot enter the namespace of a host")
        os.environ["FAKETIME"] = f"{self.ahead:+d}s"  # libfaketime reads it at each call


@dataclass(frozen=True)
class Layout:
    """The hosts of the run. ``database`` has settings by which their processes reach it, such as those of a pooler."""

    hosts: list[Host]
    database: dict[str, Any]


def layout() -> Layout | None:
    """Return the hosts of this run, or None if races run in threads."""
    given = os.environ.get(ENVIRONMENT)
    if not given:
        return None
    described = json.loads(given)
    return Layout([Host(**each) for each in described["hosts"]], described["database"])


def span() -> dt.timedelta:
    """Return the time between the slowest and the fastest clock of the hosts: none in threads."""
    given = layout()
    ahead = [host.ahead for host in given.hosts] if given else [0]
    return dt.timedelta(seconds=max(ahead) - min(ahead))


def carry(work: Callable[[], Any]) -> Carrier:
    """Run the work beside the caller: on the next host, or in a thread where there are no hosts."""
    given = layout()
    return _Thread(work) if given is None else OnHost(work, given, next(_turn))


_turn = itertools.count()


class _Thread:
    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._result: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class OnHost:
    """A fork of this process on the host ``number``, counted round."""

    def __init__(self, work: Callable[[], Any], layout: Layout, number: int) -> None:
        self._receiver, sender = _fork.Pipe(duplex=False)
        host = layout.hosts[number % len(layout.hosts)]
        self._process = _fork.Process(target=_run_on, args=(host, layout.database, work, sender), daemon=True)
        self._process.start()
        sender.close()
        self._outcome: _Outcome | None = None

    def is_alive(self) -> bool:
        self.join(0)
        return self._outcome is None

    def join(self, timeout: float) -> None:
        if self._outcome is None and self._receiver.poll(timeout):
            try:
                self._outcome = self._receiver.recv()
            except EOFError:
                self._outcome = _Outcome(error=(RuntimeError, ("the process has ended without a result",), {}))
            self._receiver.close()
            self._process.join()

    def result(self) -> Any:
        assert self._outcome is not None, "still running"
        return self._outcome.get()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()


@dataclass
class _Outcome:
    value: Any = None
    #: The class, the arguments and the attributes of an exception: many exceptions cannot be pickled as they are.
    error: tuple[type[BaseException], tuple[Any, ...], dict[str, Any]] | None = None

    def get(self) -> Any:
        if self.error is None:
            return self.value
        kind, arguments, attributes = self.error
        error = kind.__new__(kind, *arguments)
        error.args = arguments
        error.__dict__.update(attributes)
        raise error


class Answer(HttpResponse):
    """The response of a test client, without the client."""

    def json(self) -> Any:
        return json.loads(self.content)


def _run_on(host: Host, database: dict[str, Any], work: Callable[[], Any], sender: Connection) -> None:
    # The connections of the parent stay its own: this process must neither use nor close them.
    kept = connections.all(initialized_only=True)
    for each in kept:
        del connections[each.alias]
    for alias in connections:
        options = database.get("OPTIONS", {})
        connections.settings[alias].update({name: value for name, value in database.items() if name != "OPTIONS"})
        connections.settings[alias]["OPTIONS"].update(options)
    try:
        host.enter()
        outcome = _Outcome(value=_carried(work()))
    except BaseException as error:
        plain = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float | tuple)}
        outcome = _Outcome(error=(type(error), error.args, plain))
    finally:
        connections.close_all()
    sender.send(outcome)
    sender.close()


def _carried(value: Any) -> Any:
    if isinstance(value, HttpResponseBase):
        assert isinstance(value, HttpResponse)
        answer = Answer(value.content, status=value.status_code, headers=dict(value.items()))
        answer.cookies = value.cookies
        return answer
    return value
