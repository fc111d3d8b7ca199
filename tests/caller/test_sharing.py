"""No request shares a mutable object with another request, whether a lease or a query answered it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField, HStoreField
from django.contrib.postgres.signals import get_hstore_oids, register_type_handlers
from django.db import DatabaseError, connection, models
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.caller import user_table
from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    SessionAuthentication,
)
from tests.caller.conftest import Caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

PATHS = ["/certificate", "/token", "/session", "/django"]
ADDED = "added by another request"


class Parsed(models.TextField):  # type: ignore[type-arg]
    """A field that reads a list."""

    def from_db_value(self, value: str, expression: Any, connection: Any) -> list[str]:
        return value.split()


#: For each field: its declaration, the value in the row, and a function that changes a value in place.
FIELDS: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "json": (lambda: models.JSONField(default=dict), {"roles": ["reader"]}, lambda value: value["roles"].append(ADDED)),
    "parsed": (lambda: Parsed(default=""), ["reader"], lambda value: value.append(ADDED)),
    "binary": (lambda: models.BinaryField(default=b""), b"reader", lambda value: None),
}
ON_POSTGRESQL: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "array": (
        lambda: ArrayField(models.CharField(max_length=99), default=list),
        ["reader"],
        lambda value: value.append(ADDED),
    ),
    "nested": (
        lambda: ArrayField(ArrayField(models.IntegerField()), default=list),
        [[1, 2]],
        lambda value: value[0].append(3),
    ),
    "store": (lambda: HStoreField(default=dict), {"role": "reader"}, lambda value: value.update(role=ADDED)),
}
CHANGES = {name: change for name, (_, _, change) in (FIELDS | ON_POSTGRESQL).items()}

#: The objects that each request received, in the order of the requests.
SEEN: list[Any] = []


def seen_by(request: Any) -> None:
    """Record the objects of a request and their values, then change in place every object that can be changed."""
    user, session = request.user, request.session
    given = {name: getattr(user, name) for name in CHANGES if hasattr(user, name)} | {"basket": session.get("basket")}
    values = {name: repr(bytes(value) if name == "binary" else value) for name, value in given.items()}
    SEEN.append((values, [given, vars(user), getattr(request, "auth", None), request.client_certificate]))
    for name, value in given.items():
        CHANGES.get(name, lambda basket: basket and basket.append(ADDED))(value)
    user.securecore_granted = ADDED


class Changes(APIView):
    def get(self, request: Any) -> Response:
        seen_by(request)
        return Response()


def changes(request: HttpRequest) -> HttpResponse:
    seen_by(request)
    return HttpResponse()


def fill(request: HttpRequest) -> HttpResponse:
    request.session["basket"] = ["apple"]
    return HttpResponse()


urlpatterns = [
    path("token", Changes.as_view(authentication_classes=[AccessTokenAuthentication])),
    path("certificate", Changes.as_view(authentication_classes=[CertificateAuthentication])),
    path("session", Changes.as_view(authentication_classes=[SessionAuthentication])),
    path("django", changes),
    path("fill", fill),
    path("", include("securecore.urls")),
]


@pytest.fixture(params=[*FIELDS, *ON_POSTGRESQL])
def field(request: pytest.FixtureRequest, db: None) -> Iterator[str]:
    """The name of a field that the user model has during the test."""
    name = request.param
    if name in ON_POSTGRESQL and connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has such a field")
    if name == "store":
        request.getfixturevalue("hstore")
    declared = (FIELDS | ON_POSTGRESQL)[name][0]()
    User.add_to_class(name, declared)
    user_table._table.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE auth_user ADD COLUMN "{name}" {declared.db_type(connection)}')
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE auth_user DROP COLUMN "{name}"')
    User._meta.local_fields.remove(declared)
    User._meta._expire_cache()  # type: ignore[attr-defined]
    delattr(User, name)
    user_table._table.cache_clear()


@pytest.fixture
def hstore(db: None) -> Iterator[None]:
    """The hstore extension, and new connections that read its values as dictionaries."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")
    except DatabaseError:
        pytest.skip("this PostgreSQL has no hstore (contrib)")
    connection_created.connect(register_type_handlers)
    get_hstore_oids.cache_clear()  # type: ignore[attr-defined]
    connection.close()
    yield
    connection_created.disconnect(register_type_handlers)
    connection.close()


@pytest.fixture(params=["unprepared", "prepared"])
def prepares(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "unprepared":
        yield
        return
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL prepares")
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = 5
    yield
    connection.close()


@pytest.fixture(params=[0, 60_000], ids=["read", "leased"])
def leased(request: pytest.FixtureRequest, settings: Any, own_leases: None) -> bool:
    settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": request.param}
    return bool(request.param)


@pytest.mark.parametrize("way", PATHS)
def test_what_one_request_changes_is_not_seen_by_the_next(
    field: str, caller: Caller, prepares: None, leased: bool, way: str
) -> None:
    value = (FIELDS | ON_POSTGRESQL)[field][1]
    User.objects.update(**{field: " ".join(value) if field == "parsed" else value})
    caller.get("/fill")
    SEEN.clear()
    for _ in range(3):
        assert caller.get(way).status_code == 200
    expected = {field: repr(value), "basket": repr(["apple"])}
    assert [values for values, _ in SEEN] == [expected] * 3
    first, second, third = ({id(part) for part in mutable(objects)} for _, objects in SEEN)
    assert first
    assert not first & second | second & third | first & third


@pytest.mark.parametrize("leased", [60_000], indirect=True)
def test_leases_were_used(caller: Caller, leased: bool, django_assert_num_queries: Any) -> None:
    """Otherwise the test above proves nothing about leases."""
    caller.get("/certificate")
    with django_assert_num_queries(1):  # the basket
        caller.get("/certificate")


@pytest.mark.parametrize(("way", "name"), [("/token", "subject"), ("/token", "scope"), ("/certificate", "thumbprint")])
def test_what_is_shared_cannot_be_changed(caller: Caller, way: str, name: str) -> None:
    """A parsed certificate and a verified token stay in a cache for the next request."""
    SEEN.clear()
    caller.get(way)
    auth = SEEN[0][1][2]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(auth, name, "somebody else")


def test_a_memoryview_is_copied() -> None:
    """psycopg 2 returns a memoryview for each BinaryField. A request that releases its copy affects
    no other request.
    """
    kept = memoryview(b"reader")
    user_table._own(kept).release()
    assert bytes(kept) == b"reader"


def mutable(value: Any) -> Iterator[Any]:
    """Return all mutable objects in ``value``, through containers, users and frozen dataclasses."""
    if isinstance(value, (list, dict, set, bytearray, memoryview)):
        yield value
    if isinstance(value, dict):
        value = list(value.values())
    elif dataclasses.is_dataclass(value):
        frozen: Any = value
        assert frozen.__dataclass_params__.frozen
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    elif isinstance(value, models.base.ModelState):
        value = [vars(value)]
    if isinstance(value, (list, tuple, set)):
        for each in value:
            yield from mutable(each)
