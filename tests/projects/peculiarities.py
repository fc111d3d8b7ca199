"""The promises that only one project tests, by the name of the project."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from securecore.grants import principal_of
from securecore.models import Session
from securecore.revocation import revoke_user_tokens
from tests.projects.calls import MAKE, answered, bearer, decided, give, logged_in
from tests.projects.people import Person


def hidden_user() -> None:
    """A user that the default manager hides is no caller."""
    alice = Person("alice")
    browser, token = logged_in(alice)
    alice.row.model.everybody.update(deleted_at=timezone.now())
    assert browser.get("/page").status_code == 401
    assert bearer(alice, token).status_code == 401
    assert alice.client.get("/caller").status_code in (401, 403)


def null_flag() -> None:
    """A flag that becomes null deactivates the user."""
    alice = Person("alice")
    give(principal_of(alice.user), MAKE)
    _, token = logged_in(alice)
    alice.row.update(is_active=None)
    assert not Session.objects.exists()
    assert not decided(principal_of(alice.user))
    alice.row.update(is_active=True)
    assert bearer(alice, token).status_code == 401


def child_class() -> None:
    """The caller is an object of the child class, as the default manager returns it."""
    model: Any = get_user_model()
    clerk = Person("alice", model.__subclasses__()[0])
    browser, token = logged_in(clerk)
    assert answered(clerk.client.get("/caller")).json()["class"] == "Clerk"
    assert answered(bearer(clerk, token)).json()["class"] == "Clerk"
    assert answered(browser.get("/page")).json()["class"] == "Clerk"


def annotation() -> None:
    """The caller has the annotations of the default manager, as Django's ``get_user()`` gives them."""
    alice = Person("alice")
    browser, token = logged_in(alice)
    for response in (alice.client.get("/caller"), bearer(alice, token), browser.get("/page")):
        assert answered(response).json()["group_count"] == 0


def two_spellings() -> None:
    """Keys that differ by case are two principals."""
    alice, other = Person("alice"), Person("ALICE")
    give(principal_of(alice.user), MAKE)
    assert decided(principal_of(alice.user))
    assert not decided(principal_of(other.user))


def parents_row() -> None:
    """A person that is no user has no permission, and a user that becomes a mere person loses every one."""
    alice = Person("alice")
    name = principal_of(alice.user)
    give(name, MAKE)
    assert decided(name)
    alice.user.delete(keep_parents=True)
    assert not decided(name)
    assert alice.client.get("/caller").status_code in (401, 403)


def public_documents() -> None:
    """The documents of the authorization server need no login, a page does, and a bad token is a refusal."""
    alice = Person("alice")
    for path in ("/oauth/jwks", "/.well-known/oauth-authorization-server"):
        answered(alice.client.get(path))
    answered(alice.client.get("/page"), 302)
    browser, token = logged_in(alice)
    answered(browser.get("/page"))
    revoke_user_tokens(alice.user)
    bad = alice.client.get("/page", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (bad.status_code, bad.json()["code"]) == (401, "invalid-token")


OF = {
    "settings/login_required": public_documents,
    "users/deferring_manager": annotation,
    "users/soft_deleted": hidden_user,
    "users/nullable_flags": null_flag,
    "users/polymorphic_users": child_class,
    "users/text_key": two_spellings,
    "users/multi_table": parents_row,
    "users/multi_table_uuid": parents_row,
}
