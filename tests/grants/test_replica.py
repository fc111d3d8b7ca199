"""A real hot standby. Its data is old, and no other server sees its locks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dj_database_url
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction

from securecore import clock
from securecore.checks.grants import e607_standby
from securecore.errors import Misuse
from securecore.grants import authorize, decide, grant, late_gate, principal_of
from securecore.revocation import revoke_grant
from tests.support.postgres import server

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no replicas"),
]
MAKE = "things.make"


@pytest.fixture(scope="module")
def standby(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """The ``DATABASES`` entry of the standby. Alice has the permission there."""
    with server() as postgres, pytest.MonkeyPatch.context() as changed, django_db_blocker.unblock():
        where: dict[str, Any] = dict(dj_database_url.parse(postgres.url))
        _go_to(where, changed)
        call_command("migrate", verbosity=0)
        grant(principal=principal_of(User.objects.create_user("alice")), permission=MAKE, now=clock.now())
        connection.close()
        changed.undo()
        postgres.become_standby()
        yield where


def _go_to(where: dict[str, Any], changed: pytest.MonkeyPatch) -> None:
    connection.close()
    for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"):
        changed.setitem(connection.settings_dict, name, where[name])


@pytest.fixture(params=["advisory", "row"])
def _gate(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.SECURECORE = settings.SECURECORE | {"GATE": request.param}


@pytest.fixture(params=[5, None], ids=["prepared", "unprepared"])
def alice(request: pytest.FixtureRequest, standby: dict[str, Any], db: None, _gate: None) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as changed:
        _go_to(standby, changed)
        changed.setitem(connection.settings_dict["OPTIONS"], "prepare_threshold", request.param)
        yield principal_of(User.objects.get(username="alice"))
        connection.close()


def test_decides_nothing(alice: str) -> None:
    for _ in range(2):
        with pytest.raises(Misuse, match="replica"), authorize(alice, MAKE, clock=clock.now):
            pytest.fail("an effect under a permission from the past")


def test_decides_nothing_in_a_transaction_that_has_begun(alice: str) -> None:
    with pytest.raises(Misuse, match="replica"), transaction.atomic():
        assert User.objects.exists()
        decide(alice, MAKE, clock=clock.now)


def test_decides_nothing_late(alice: str) -> None:
    with pytest.raises(Misuse, match="replica"), late_gate(alice, clock=clock.now) as late:
        late.require(MAKE)


def test_takes_nothing_away(alice: str) -> None:
    with pytest.raises(Misuse, match="replica"):
        revoke_grant(principal=alice, permission=MAKE)


def test_is_found_by_a_system_check(alice: str) -> None:
    assert [problem.id for problem in e607_standby(databases=["default"])] == ["securecore.E607"]
    assert e607_standby(databases=None) == []


def test_is_not_the_database_of_everybody_else() -> None:
    assert e607_standby(databases=["default"]) == []
