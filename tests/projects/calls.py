"""Requests and grants of the columns."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from securecore import clock
from securecore.conf import settings
from securecore.grants import decide, grant, principal_of
from securecore.models import Gate
from tests.projects.people import Person
from tests.tokens.calls import given

MAKE = "things.make"
#: The result of a column about a part that the project lacks.
ABSENT = "absent"


def give(principal: str, permission: str, **how: Any) -> None:
    grant(principal=principal, permission=permission, now=clock.now(), **how)


def made(person: Person) -> None:
    response = person.client.post("/make")
    assert response.status_code == 201, (response.status_code, response.content)


def may(person: Person, permission: str) -> bool:
    """Return ``has_perm()``, or the decision at the gate for a user model without that method."""
    if not hasattr(person.user, "has_perm"):
        return decided(principal_of(person.user), permission)
    return bool(answered(person.client.get(f"/caller?permission={permission}")).json()["may"])


def decided(principal: str, permission: str = MAKE) -> bool:
    with transaction.atomic(using=settings.DATABASE):
        return bool(decide(principal, permission, clock=clock.now))


def bearer(person: Person, token: str) -> Any:
    return person.client.get("/caller", HTTP_AUTHORIZATION=f"Bearer {token}")


def logged_in(person: Person) -> tuple[Any, str]:
    """Return a browser with a session of this user, and an access token."""
    browser = person.client
    answered(browser.post("/auth/login"))
    return browser, given(person.client)["access_token"]


def answered(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, (response.status_code, response.content)
    return response


def epoch(principal: str) -> int:
    epochs = Gate.objects.using(settings.DATABASE).filter(principal=principal).values_list("epoch", flat=True)
    return epochs.first() or 0
