"""Lockouts of everyone, and imports of revocation lists, against effects with a passed check."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from securecore import caller, clock, grants
from securecore.errors import PermissionDenied
from securecore.grants import lockouts
from securecore.identity import ClientCertificate, parse_pem
from securecore.models import ListedCertificate
from securecore.revocation_lists import import_list
from tests.races.revocations import MAKE, Person, effects
from tests.races.test_authorization import Held, Thread, _gate, check, enter, wait_until_blocked
from tests.support.revocation_lists import Lists
from tests.support.views import make_effect

__all__ = ["_gate"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def person() -> Person:
    person = Person()
    person.give(person.own)
    return person


def shut_out_everyone() -> None:
    lockouts.lock_out(subject="everyone", lasts=dt.timedelta(hours=1), reason="a race")


class TestEveryone:
    def test_everyone_waits_for_an_effect_whose_check_passed(self, person: Person) -> None:
        before, effect = effects(), Held(enter(person))
        shutting = Thread(shut_out_everyone)
        wait_until_blocked(1, "everyone", shutting)
        effect.let_go()
        shutting.result()
        assert effects() == before + 1
        assert check(person) == "denied"
        assert lockouts.lift(subject="everyone")
        assert check(person) == "done"


def check_under(person: Person, certificate: ClientCertificate) -> Any:
    """Return the work of a request with this certificate: a check and its effect, in an open transaction."""

    def work() -> None:
        conditions = caller.Caller((person.own,), certificate=certificate).conditions
        grants.decide((person.own,), MAKE, conditions=conditions, clock=clock.now).require()
        make_effect()

    return work


class TestRevocationList:
    def test_import_waits_for_an_effect_whose_check_passed(self, person: Person, ca: Any, tmp_path: Path) -> None:
        issued, lists = ca.issue("alice"), Lists(ca)
        certificate, path = parse_pem(issued.pem), lists.write(tmp_path / "list.crl", issued)
        before, effect = effects(), Held(check_under(person, certificate))
        importing = Thread(lambda: import_list(path, authorities=[lists.issued.certificate]))
        wait_until_blocked(1, "import", importing)
        assert ListedCertificate.objects.exists(), "the entries are committed before the wait"
        later = Thread(lambda: run(check_under(person, certificate)))
        wait_until_blocked(2, "a later check", importing, later)
        effect.let_go()
        importing.result()
        with pytest.raises(PermissionDenied):
            later.result()
        assert effects() == before + 1

    def test_import_closes_no_gate_while_it_writes(self, person: Person, ca: Any, tmp_path: Path) -> None:
        """A million entries take seconds."""
        lists = Lists(ca)
        path = lists.write(tmp_path / "list.crl", ca.issue("alice"))
        with transaction.atomic():
            _lock_the_table()
            importing = Thread(lambda: import_list(path, authorities=[lists.issued.certificate]))
            wait_until_blocked(1, "import", importing)
            assert Thread(lambda: check(person)).result() == "done"
        importing.result()


def run(work: Any) -> None:
    with transaction.atomic():
        work()


def _lock_the_table() -> None:
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("LOCK TABLE securecore_listed_certificate IN SHARE MODE")
