"""The actor of the running code: the user, service or operator that audit rows, events and logs name.

``http`` sets the actor of each request, and each command and admin page sets its own (``acting``). This module stores
nothing; ``securecore.audit`` writes the actor into its rows.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["user", "service", "certificate", "anonymous", "admin", "command", "system"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """The actor of a change.

    ``name`` is a principal (``user:7``), or the operator of a command: ``root`` or ``root for alice``. ``address`` is
    the client's IP address, or the host of a command. ``request_id`` is empty outside a request.
    """

    kind: Kind
    name: str = ""
    address: str = ""
    request_id: str = ""


#: Code outside a request, a command and an admin page: a task of a queue, a shell, a test.
NOBODY = Actor(kind="system")

#: A request computes its actor at the first use, since its user is not known when the request begins.
Source = Actor | Callable[[], Actor]

#: The actor and the reason of the running code. A context variable, so that each thread and each task has its own.
_acting: ContextVar[tuple[Source, str]] = ContextVar("securecore_acting", default=(NOBODY, ""))


@contextmanager
def acting(actor: Source, *, reason: str = "") -> Iterator[None]:
    """Name ``actor`` in each audit row and event of the block, and ``reason`` in each audit row.

    ::

        with audit.acting(audit.operator("alice"), reason="laptop stolen, ticket 4711"):
            revoke_certificate(thumbprint=thumbprint)

    Needs no transaction. Without ``reason`` the reason of the surrounding block stays in force.
    """
    token = _acting.set((actor, reason or _acting.get()[1]))
    try:
        yield
    finally:
        _acting.reset(token)


def actor() -> Actor:
    """Return the actor of the running code; ``NOBODY`` if no block names one."""
    source = _acting.get()[0]
    return source if isinstance(source, Actor) else source()


def reason() -> str:
    """Return the reason that the surrounding ``acting`` block gave, or an empty string."""
    return _acting.get()[1]


def operator(name: str = "") -> Actor:
    """Return the operator of a command: the operating system's user, the host, and ``name`` (``--operator``).

    Several people share the account of a service, so a command asks for the name of the person.
    """
    account = _account()
    return Actor(kind="command", name=f"{account} for {name}" if name else account, address=socket.gethostname())


@lru_cache(maxsize=1)
def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return "unknown"
