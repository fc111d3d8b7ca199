"""One process serves several tenants: cached data of one tenant's users never serves another tenant.

A tenant is a filter of the user manager, a PostgreSQL schema that some code switches to, or a session variable that
row-level security reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User, UserManager
from django.db import connection, connections
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from securecore import clock, tokens
from securecore.caller import user_table
from securecore.checks.access import e705_row_level_security, w704_leases_have_no_effect
from securecore.tokens import keys
from tests.caller.conftest import Caller
from tests.caller.urls import urlpatterns as _urlpatterns
from tests.tokens.calls import works

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

PATHS = ["/certificate", "/token", "/session", "/django"]
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has schemas")

#: The tenant of the current requests.
CURRENT = ["a"]


class _Tenants:
    """A middleware that switches to the tenant's schema, as projects write it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO tenant_{CURRENT[0]}, public")
        return self.get_response(request)


urlpatterns = [*_urlpatterns, path("", include("securecore.urls"))]


@pytest.fixture(params=["unprepared", "prepared"])
def prepares(request: pytest.FixtureRequest) -> Iterator[bool]:
    if request.param == "prepared" and connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL prepares")
    connection.close()
    yield request.param == "prepared"
    connection.close()


@pytest.fixture(autouse=True)
def _leased(settings: Any, own_leases: None) -> None:
    settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 60_000}
    CURRENT[0] = "a"


def prepare() -> None:
    connection.ensure_connection()
    connection.connection.prepare_threshold = 5


def names(caller: Caller, path: str) -> list[str]:
    """Return the user name or the status of the refusal for tenants a, b, a, b."""
    served = []
    for CURRENT[0] in "abab":
        answer = caller.get(path)
        served.append(answer.json()["username"] if answer.status_code == 200 else str(answer.status_code))
    return served


# --- a manager that filters -----------------------------------------------------------------------------------------


class OverridingManager(UserManager[User]):
    def get_queryset(self) -> QuerySet[User]:
        return super().get_queryset().filter(last_name=CURRENT[0])


class Filtering(QuerySet[User]):
    """A queryset that filters in its ``__init__``, not in the manager's ``get_queryset()``."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if not self.query.where:
            self.query.add_q(Q(last_name=CURRENT[0]))


MANAGERS: dict[str, Any] = {"get_queryset": OverridingManager, "its queryset": UserManager.from_queryset(Filtering)}


@contextmanager
def default_manager(manager: Any) -> Iterator[None]:
    """Make ``manager`` the default manager of the user model."""
    manager.model, manager.name = User, "objects"
    User._meta.__dict__["default_manager"] = manager
    user_table._table.cache_clear()
    try:
        yield
    finally:
        User._meta._expire_cache()  # type: ignore[attr-defined]
        user_table._table.cache_clear()


@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_manager_that_filters_is_asked_for_each_request(caller: Caller, prepares: bool, kind: str, path: str) -> None:
    User.objects.update(last_name="a")
    with default_manager(MANAGERS[kind]()):
        if prepares:
            prepare()
        served = names(caller, path)
    assert served[::2] == ["alice"] * 2
    assert "alice" not in served[1::2]


# --- a schema for each tenant ---------------------------------------------------------------------------------------


@pytest.fixture
def schemas(caller: Caller) -> Iterator[Caller]:
    """Alice of tenant a, and Mallory of tenant b with the same primary key and certificate."""
    with connection.cursor() as cursor:
        for tenant in "ab":
            cursor.execute(f"CREATE SCHEMA tenant_{tenant}")
            for table in ("auth_user", "securecore_certificate", "securecore_session", "securecore_signing_key"):
                cursor.execute(f"CREATE TABLE tenant_{tenant}.{table} (LIKE public.{table} INCLUDING ALL)")
                cursor.execute(f"INSERT INTO tenant_{tenant}.{table} SELECT * FROM public.{table}")
        cursor.execute("UPDATE tenant_b.auth_user SET username = 'mallory'")
    yield caller
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA tenant_a, tenant_b CASCADE")


def switch(caller: Caller, settings: Any) -> None:
    """Let a middleware switch to the tenant's schema at the beginning of each request."""
    settings.MIDDLEWARE = [f"{__name__}._Tenants", *settings.MIDDLEWARE]
    handler: Any = caller.client.handler
    handler.load_middleware()


@on_postgresql
@pytest.mark.parametrize("path", PATHS)
def test_a_schema_is_read_for_each_request(schemas: Caller, prepares: bool, settings: Any, path: str) -> None:
    if not _reports_search_path():
        pytest.skip("this PostgreSQL (before 18) does not report its search_path: docs/caller.md says LEASE_MS = 0")
    switch(schemas, settings)
    if prepares:
        prepare()
    assert names(schemas, path) == ["alice", "mallory"] * 2


@on_postgresql
def test_a_lease_of_a_request_that_connected_is_used_by_the_next(caller: Caller) -> None:
    connection.close()
    assert [caller.get("/certificate").json()["leased"] for _ in range(2)] == [False, True]
    connection.close()
    assert caller.get("/certificate").json()["leased"]


@on_postgresql
@pytest.mark.parametrize("path", PATHS)
def test_a_schema_is_read_for_each_request_without_leases(
    schemas: Caller, prepares: bool, settings: Any, path: str
) -> None:
    settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 0}
    switch(schemas, settings)
    if prepares:
        prepare()
    assert names(schemas, path) == ["alice", "mallory"] * 2


@on_postgresql
@pytest.mark.parametrize("path", PATHS)
def test_a_backend_that_switches_schemas_is_left_to_itself(schemas: Caller, prepares: bool, path: str) -> None:
    """django-tenants sets the schema in ``cursor()``, right before the next statement."""
    from django.db.backends.postgresql.base import DatabaseWrapper

    class Switching(DatabaseWrapper):
        def _cursor(self, name: Any = None) -> Any:
            cursor = super()._cursor(name)  # type: ignore[misc]
            cursor.execute(f"SET search_path TO tenant_{CURRENT[0]}, public")
            return cursor

    database = connections["default"]
    connections["default"] = Switching(database.settings_dict, "default")
    try:
        if prepares:
            prepare()
        assert names(schemas, path) == ["alice", "mallory"] * 2
        (found,) = w704_leases_have_no_effect()
        assert (found.id, type(connections["default"]).__module__ in found.msg) == ("securecore.W704", True)
    finally:
        connection.close()
        connections["default"] = database


@on_postgresql
def test_a_key_of_one_schema_signs_for_no_other(schemas: Caller, prepares: bool, settings: Any) -> None:
    """The process has the public key of a token of tenant a. Each request reads whether its own
    schema stores that key.
    """
    from cryptography.fernet import Fernet

    settings.SECURECORE = settings.SECURECORE | {"ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    switch(schemas, settings)
    if prepares:
        prepare()
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO tenant_a, public")
    keys.rotate(algorithm="ES256", lead=0, now=clock.now())
    encoded, token = tokens.issue(
        subject=str(schemas.user.pk), client_id="x", binding=f"x5t#S256:{schemas.thumbprint}", now=clock.now()
    )
    assert token.stored_key
    served = []
    for CURRENT[0] in "abab":
        served.append(works(schemas.client, encoded, path="/token"))
    assert served == [True, False, True, False]


# --- row-level security, and another process ------------------------------------------------------------------------


@on_postgresql
def test_row_level_security_and_leases_are_found_by_a_check(caller: Caller, settings: Any) -> None:
    databases = ["default"]
    assert e705_row_level_security(databases=databases) == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE securecore_certificate ENABLE ROW LEVEL SECURITY")
    try:
        (found,) = e705_row_level_security(databases=databases)
        assert found.id == "securecore.E705"
        assert "securecore_certificate" in found.msg
        assert e705_row_level_security(databases=[]) == []
        settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 0}
        assert e705_row_level_security(databases=databases) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE securecore_certificate DISABLE ROW LEVEL SECURITY")


def test_leases_without_effect_are_found_by_a_check(settings: Any, caller: Caller) -> None:
    assert w704_leases_have_no_effect() == []
    with default_manager(OverridingManager()):
        (found,) = w704_leases_have_no_effect()
        assert (found.id, "OverridingManager" in found.msg) == ("securecore.W704", True)
        settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 0}
        assert w704_leases_have_no_effect() == []


def test_a_router_is_not_asked_where_users_are(caller: Caller, settings: Any) -> None:
    """A router may choose a database by tenant. securecore reads only the database that SECURECORE names."""

    class Router:
        def db_for_read(self, model: Any, **_: Any) -> str:
            raise AssertionError(model)

    settings.DATABASE_ROUTERS = [Router()]
    assert [caller.get(path).json()["username"] for path in ("/certificate", "/token")] == ["alice"] * 2


def _reports_search_path() -> bool:
    connection.ensure_connection()
    return bool(connection.connection.info.parameter_status("search_path"))
