"""The plan of a scan: routes, certificates and limits that cannot be guessed. Plain values only.

docs/scanner.md explains every entry; planfile.py reads a plan from TOML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Seconds: an access token that lives longer is reported by SC-TOKEN-6.
LONGEST_LIFE = 3600


class PlanError(Exception):
    """The plan is wrong; the message names the entry."""


@dataclass(frozen=True)
class Call:
    """A request with placeholders, such as ``{canary}`` or ``{env:NAME}``, in any of its texts.

    ``{token}``, ``{refresh}`` and ``{prepared}`` have values only in calls that need them, such as ``tokens.revoke``.
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
    """A client certificate and its key, as PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Identities:
    """Certificates by role: the victim (``owner``), the attacker (``second``) and an administrator."""

    owner: Identity | None = None
    second: Identity | None = None
    admin: Identity | None = None


@dataclass(frozen=True)
class Account:
    """A canary account: the scanner logs in as it, changes its data and ends its sessions."""

    username: str
    password: str
    email: str = ""


@dataclass(frozen=True)
class Accounts:
    """Accounts by role, for services that log in by password. The scanner registers ``owner`` and ``second`` itself
    if the service allows it.
    """

    owner: Account | None = None
    second: Account | None = None
    admin: Account | None = None


@dataclass(frozen=True)
class Count:
    """A GET that returns the number of effects, and the field of the number in the JSON response.

    Dots go down into objects (``page.total``); a list counts its items. With ``containing``, the items that contain
    this text are counted, such as ``{canary}``, and ``field`` is ignored.
    """

    path: str
    field: str = "count"
    containing: str | None = None


@dataclass(frozen=True)
class Effect:
    """A canary route: a request with a harmless effect, and a way to count the effects.

    ``failing`` is the same request, made to fail with a 5xx, such as by a header for fault injection.
    """

    name: str
    request: Call
    count: Count | None = None
    failing: Call | None = None


@dataclass(frozen=True)
class ObjectRoute:
    """Objects that belong to their creator.

    ``id`` is the field of the id in the response to ``create`` or, if the response lacks it, in the request. ``{id}``
    stands for it in ``read`` and ``more`` (GETs), ``change`` and ``delete``. ``within`` creates the object around it,
    such as the note of a comment, or is a GET that shows the caller's own account, such as the user of an order:
    ``{parent}`` stands for the ``parent_id`` of its response.
    """

    create: Call
    read: str
    id: str = "id"
    more: tuple[str, ...] = ()
    change: tuple[Call, ...] = ()
    delete: Call | None = None
    within: Call | None = None
    parent_id: str = "id"

    @property
    def is_in_own_account(self) -> bool:
        """Say whether the objects lie below the creator's account, so that their list is as private as they are."""
        return self.within is not None and self.within.method == "GET"


@dataclass(frozen=True)
class AccountRoute:
    """Routes of one account, such as ``/users/{id}``. ``id`` is ``username`` or ``email``, or else a field of the
    response to the registration, to the login, or to the route that names the caller. ``listed`` shows every account.
    """

    id: str = "username"
    read: tuple[str, ...] = ()
    change: tuple[Call, ...] = ()
    delete: Call | None = None
    listed: str | None = None


@dataclass(frozen=True)
class Sessions:
    """Login and logout. ``read`` is a GET that returns the caller's name, such as ``/api/whoami``."""

    login: Call | None = None
    logout: Call | None = None
    read: str | None = None
    #: The field with the caller's name in the response to ``read``.
    user: str | None = None
    #: The field that is true if the request has a session. Without it, ``read`` must refuse a request with no session.
    field: str | None = None
    #: A page that sets a session cookie before login.
    anonymous: str = "/"
    #: The name of the session cookie.
    cookie: str | None = None


@dataclass(frozen=True)
class Tokens:
    """Requests for access and refresh tokens. ``use`` is a GET that demands an access token."""

    request: Call | None = None
    #: Returns a refresh token too. Needed only if ``request`` does not.
    family: Call | None = None
    refresh: Call | None = None
    revoke: Call | None = None
    use: str | None = None
    scheme: str = "Bearer"
    longest_life: int = LONGEST_LIFE
    jwks: str | None = None
    #: The key that signs the tokens: with it the scanner makes validly signed tokens with wrong claims.
    signing_key: Path | None = None
    signing_secret: str | None = None
    dpop: bool = True


@dataclass(frozen=True)
class Authorization:
    """A permission that ``admin`` can revoke from ``owner`` and restore, and the effect that needs the permission."""

    effect: str
    revoke: Call
    restore: Call
    #: Seconds after which a revocation must hold, under load.
    latency: float = 2.0


@dataclass(frozen=True)
class Privileges:
    """A change of the owner's permissions, after which the session id must differ."""

    change: Call
    restore: Call | None = None
    by: str = "admin"


@dataclass(frozen=True)
class Revocation:
    """A certificate that ``by`` may revoke. ``{thumbprint}`` (RFC 8705) and ``{serial}`` (hexadecimal) stand for it."""

    certificate: Identity
    revoke: Call
    restore: Call | None = None
    by: str = "admin"


@dataclass(frozen=True)
class Limit:
    """An object with ``allowed`` uses, such as a voucher.

    ``prepare`` creates one. ``field`` of its response becomes ``{prepared}``.
    """

    use: Call
    allowed: int = 1
    prepare: Call | None = None
    field: str = "code"


@dataclass(frozen=True)
class Memory:
    """Where to read the memory of the service: ``url``, ``prometheus`` or ``pid``; and certificates to connect with."""

    url: str | None = None
    field: str = "rss_bytes"
    process: str = "process"
    prometheus: str | None = None
    metric: str = "process_resident_memory_bytes"
    pid: int | None = None
    #: The authority that signs a new certificate for each connection. Without it, ``certificates`` are used in turn.
    ca_cert: Path | None = None
    ca_key: Path | None = None
    certificates: tuple[Identity, ...] = ()
    visit: str | None = None
    #: Bytes per new connection: steady growth above this is a leak.
    threshold: int = 2048


@dataclass(frozen=True)
class Plan:
    identities: Identities = Identities()
    openapi: str | None = None
    accounts: Accounts = Accounts()
    #: Opens an account with ``{username}``, ``{password}`` and ``{email}``.
    registration: Call | None = None
    session: Sessions = Sessions()
    tokens: Tokens = Tokens()
    effect: tuple[Effect, ...] = ()
    object: tuple[ObjectRoute, ...] = ()
    account_route: AccountRoute | None = None
    authorization: Authorization | None = None
    privileges: Privileges | None = None
    revocation: Revocation | None = None
    limit: Limit | None = None
    memory: Memory = Memory()
    #: The address of the application behind the proxy. Only the proxy should be able to reach it.
    application: str | None = None
