"""What cannot be guessed: which route may be used as a canary, how to read its effect back, who can revoke, where the
memory is to be seen. Plain values; docs/scanner.md explains every entry, planfile.py reads them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: An access token's longest life in seconds before it is called long.
LONGEST_LIFE = 3600


class PlanError(Exception):
    """What is wrong with the plan, and where."""


@dataclass(frozen=True)
class Call:
    """A request. In every text ``{canary}``, ``{key}``, ``{nonce}``, ``{timestamp}``, ``{name}``, ``{env:NAME}`` and,
    where there is one, ``{token}``, ``{refresh}`` and ``{prepared}`` stand for their values.
    """

    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass(frozen=True)
class Identity:
    """A client certificate and its key: PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Identities:
    owner: Identity | None = None
    second: Identity | None = None
    admin: Identity | None = None


@dataclass(frozen=True)
class Count:
    """How many effects there are: a GET, and a field of its JSON (dots go down; a list counts its items)."""

    path: str
    field: str = "count"


@dataclass(frozen=True)
class Effect:
    """A route that changes something that does not matter, and how to read it back."""

    name: str
    request: Call
    count: Count | None = None


@dataclass(frozen=True)
class Sessions:
    login: Call | None = None
    logout: Call | None = None
    #: A GET that says who the caller is, and the fields that say whose session it is, and whether there is one.
    read: str | None = None
    user: str | None = None
    field: str | None = None
    #: A page that gives an id to somebody who is not logged in, and the name of the cookie.
    anonymous: str = "/"
    cookie: str | None = None


@dataclass(frozen=True)
class Tokens:
    request: Call | None = None
    #: Gives a refresh token too; ``request`` if that does.
    family: Call | None = None
    refresh: Call | None = None
    revoke: Call | None = None
    #: A GET that demands a token.
    use: str | None = None
    scheme: str = "Bearer"
    longest_life: int = LONGEST_LIFE
    jwks: str | None = None
    #: What signs the tokens, for tokens that are signed rightly and say the wrong thing.
    signing_key: Path | None = None
    signing_secret: str | None = None
    dpop: bool = True


@dataclass(frozen=True)
class Authorization:
    """A permission that ``admin`` can take from ``owner`` and give back, and the effect that needs it."""

    effect: str
    revoke: Call
    restore: Call
    #: Seconds until a revocation must hold, under load.
    latency: float = 2.0


@dataclass(frozen=True)
class Privileges:
    """A change of what ``owner`` may do, after which the session's id must be another."""

    change: Call
    restore: Call | None = None
    by: str = "admin"


@dataclass(frozen=True)
class Limit:
    """A thing that may be used ``allowed`` times. ``prepare`` makes one; ``field`` of its answer is ``{prepared}``."""

    use: Call
    allowed: int = 1
    prepare: Call | None = None
    field: str = "code"


@dataclass(frozen=True)
class Memory:
    """Where the memory is to be seen, one of three; and certificates that nobody showed before."""

    url: str | None = None
    field: str = "rss_bytes"
    process: str = "process"
    prometheus: str | None = None
    metric: str = "process_resident_memory_bytes"
    pid: int | None = None
    #: Signs certificates for the scan. Without it the certificates of the plan are shown in turn.
    ca_cert: Path | None = None
    ca_key: Path | None = None
    certificates: tuple[Identity, ...] = ()
    visit: str | None = None
    #: Bytes for each new connection above which it is called a leak.
    threshold: int = 2048


@dataclass(frozen=True)
class Plan:
    identities: Identities = Identities()
    openapi: str | None = None
    session: Sessions = Sessions()
    tokens: Tokens = Tokens()
    effect: tuple[Effect, ...] = ()
    authorization: Authorization | None = None
    privileges: Privileges | None = None
    limit: Limit | None = None
    memory: Memory = Memory()
    #: Where the application itself listens, behind the proxy: nobody but the proxy should reach it.
    application: str | None = None


_FIELD = re.compile(r"\{(env:\w+|[a-z_]+)\}")


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """Return ``template`` with the values in every text of it. Raises ``PlanError`` for one that is not there.

    Other words in braces stay as they are: they are JSON, or the API's own.
    """
    if isinstance(template, str):
        return _FIELD.sub(lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, Mapping):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, values) for value in template]
    return template


def environment_names(template: Any) -> set[str]:
    """Return the NAMEs of every ``{env:NAME}`` in ``template``."""
    if isinstance(template, str):
        return {name.removeprefix("env:") for name in _FIELD.findall(template) if name.startswith("env:")}
    if dataclasses.is_dataclass(template) and not isinstance(template, type):
        return set().union(*(environment_names(getattr(template, f.name)) for f in dataclasses.fields(template)))
    if isinstance(template, Mapping):
        return set().union(*map(environment_names, template.values()))
    if isinstance(template, list | tuple):
        return set().union(*map(environment_names, template))
    return set()
