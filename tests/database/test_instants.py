"""An instant without a time zone is a mistake of the programmer, in every function that stores or compares one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import models

from securecore.errors import Misuse
from securecore.grants import grant, principal_of, revoke
from securecore.identity import enroll, parse_pem
from securecore.instants import InstantField
from securecore.tokens import clients, one_time

NAIVE = dt.datetime(2026, 5, 4, 12, 0, 0)  # noqa: DTZ001

CALLS: dict[str, Callable[[User, str], Any]] = {
    "grant": lambda user, pem: grant(principal=principal_of(user), permission="things.make", now=NAIVE),
    "revoke": lambda user, pem: revoke(principal=principal_of(user), permission="things.make", now=NAIVE),
    "enroll": lambda user, pem: enroll(certificate=parse_pem(pem), user=user, now=NAIVE),
    "register": lambda user, pem: clients.register(client_id="payments", user=user, now=NAIVE),
    "one_time": lambda user, pem: one_time.issue(purpose="reset", subject="alice", lifetime=60, now=NAIVE),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CALLS)
def test_naive_instant_is_a_misuse(name: str, ca: Any) -> None:
    user = User.objects.create_user("alice")
    with pytest.raises(Misuse, match="has no time zone"):
        CALLS[name](user, ca.certificate_for("alice").pem)


def test_every_instant_has_the_field_that_refuses_naive_ones() -> None:
    every: list[Any] = [*apps.get_app_config("securecore").get_models()]
    fields = [field for model in every for field in model._meta.fields]
    instants = [field for field in fields if isinstance(field, models.DateTimeField)]
    assert len(instants) > 20
    assert {type(field) for field in instants} == {InstantField}
