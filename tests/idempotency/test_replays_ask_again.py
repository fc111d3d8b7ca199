"""A replay repeats the checks that the handler made: permissions and objects."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from securecore import clock
from securecore.errors import Misuse
from securecore.grants import grant, principal_of, revoke
from securecore.idempotency import IdempotencyRecord
from tests.idempotency.replay_views import MAKE, Owned
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.idempotency.replay_views"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def owned() -> None:
    Owned.visible, Owned.permitted = {"one", "renamed"}, {"one", "renamed"}


@pytest.fixture
def alice(users: dict[str, User]) -> str:
    return principal_of(users["alice"])


@pytest.fixture
def send(mtls_client: Any) -> Any:
    client = mtls_client("alice", raise_request_exception=False)

    def send(verb: str, url: str, body: Any = None, key: str = "k-1") -> Any:
        return getattr(client, verb)(url, body or {}, "application/json", headers={"Idempotency-Key": key})

    return send


def is_replay(response: Any) -> bool:
    return bool(response.status_code < 300 and response.get("Idempotency-Replayed") == "true")


class TestObjectPermission:
    @pytest.mark.parametrize(("verb", "body"), [("put", {"name": "renamed"}), ("delete", None)])
    def test_object_permission_allows_a_replay(self, send: Any, verb: str, body: Any) -> None:
        """Also of the DELETE, after which no object is left to check."""
        url = f"/groups/{Group.objects.create(name='one').pk}"
        assert send(verb, url, body).status_code in (200, 204)
        assert is_replay(send(verb, url, body))

    def test_object_permission_that_was_lost_refuses_it(self, send: Any) -> None:
        url = f"/groups/{Group.objects.create(name='one').pk}"
        first = send("put", url, {"name": "renamed"})
        Owned.permitted = set()
        refused = send("put", url, {"name": "renamed"})
        assert (refused.status_code, "renamed" in refused.content.decode()) == (403, False)
        Owned.permitted = {"renamed"}
        again = send("put", url, {"name": "renamed"})
        assert (again.content, is_replay(again)) == (first.content, True)

    def test_object_permission_of_an_object_that_is_shown_no_more_refuses_it(self, send: Any) -> None:
        url = f"/groups/{Group.objects.create(name='one').pk}"
        assert send("put", url, {"name": "renamed"}).status_code == 200
        Owned.visible = set()
        assert send("put", url, {"name": "renamed"}).status_code == 404

    @pytest.mark.parametrize("url", ["/proxies/{}", "/of-the-tutorial/{}", "/of-the-tutorial/{}?by-name"])
    def test_object_permission_of_a_proxy_model_or_a_view_without_queryset(self, send: Any, url: str) -> None:
        """The replay of a proxy's went on, and of a view without queryset every replay was a 500."""
        url = url.format(Group.objects.create(name="one").pk)
        assert send("put", url, {"name": "renamed"}).status_code == 200
        assert is_replay(send("put", url, {"name": "renamed"}))
        Owned.permitted = set()
        assert send("put", url, {"name": "renamed"}).status_code == 403
        Owned.visible = set()
        assert send("put", url, {"name": "renamed"}).status_code == 404

    @pytest.mark.parametrize("url", ["/proxies", "/of-the-tutorial"])
    def test_object_permission_of_one_that_was_deleted(self, send: Any, url: str) -> None:
        url = f"{url}/{Group.objects.create(name='one').pk}"
        assert [send("delete", url).status_code for _ in range(2)] == [204, 204]

    def test_object_permission_that_the_handler_asked_by_hand_is_asked_again(self, send: Any) -> None:
        Group.objects.create(name="one")
        assert send("post", "/by-body", {"name": "one"}).status_code == 201
        assert is_replay(send("post", "/by-body", {"name": "one"}))
        Owned.permitted = set()
        assert send("post", "/by-body", {"name": "one"}).status_code == 403

    def test_object_permission_on_what_cannot_be_found_again_refuses_it(self, send: Any) -> None:
        assert send("post", "/of-no-model").status_code == 201
        assert send("post", "/of-no-model").json()["code"] == "idempotency-not-supported"

    def test_object_permission_is_never_told_to_the_client(self, send: Any) -> None:
        Group.objects.create(name="one")
        for response in (send("post", "/by-body", {"name": "one"}) for _ in range(2)):
            assert "auth.group" not in str(response.headers)


class TestGrantOfAnObject:
    @pytest.mark.parametrize("url", ["/granted", "/granted-handler"])
    @pytest.mark.parametrize("verb", ["put", "delete"])
    def test_grant_of_an_object_is_asked_again(self, send: Any, alice: str, url: str, verb: str) -> None:
        """Under @idempotent each request to such a view was a 500; and the object of a DELETE is gone."""
        if (url, verb) == ("/granted-handler", "put"):
            return
        one = Group.objects.create(name="one")
        grant(principal=alice, permission=MAKE, obj=one, now=clock.now())
        url, body = f"{url}/{one.pk}", {"name": "renamed"}
        assert send(verb, url, body).status_code in (200, 204)
        assert is_replay(send(verb, url, body))
        revoke(principal=alice, permission=MAKE, obj=one, now=clock.now())
        assert send(verb, url, body).json()["code"] == "permission-denied"

    @pytest.mark.parametrize("url", ["/by-hand", "/late-by-hand"])
    def test_grant_of_an_object_that_a_function_asks_by_hand_is_asked_again(
        self, send: Any, alice: str, url: str
    ) -> None:
        grant(principal=alice, permission=MAKE, now=clock.now())
        assert send("post", url).status_code == 201
        assert is_replay(send("post", url))
        revoke(principal=alice, permission=MAKE, now=clock.now())
        assert send("post", url).json()["code"] == "permission-denied"
        assert effects() == 1

    def test_grant_of_an_object_that_does_not_exist_is_asked_again(self, send: Any, alice: str) -> None:
        """404 is for callers that may on every object."""
        grant(principal=alice, permission=MAKE, now=clock.now())
        assert send("delete", "/granted/777").status_code == 404
        assert send("delete", "/granted/777").status_code == 404
        revoke(principal=alice, permission=MAKE, now=clock.now())
        assert send("delete", "/granted/777").status_code == 403


class TestAViewThatRelaysTheHeadersOfAnother:
    @pytest.mark.parametrize("asked", ["x", '[[], [["auth.group", "1", true]]]', '[[["things.other", "", ""]], []]'])
    @pytest.mark.parametrize("name", ["Securecore-Recorded-Checks", "securecore-recorded-checks"])
    def test_a_view_that_relays_the_headers_of_another_does_not_choose_what_a_replay_asks(
        self, send: Any, name: str, asked: str
    ) -> None:
        assert send("post", "/relaying", {name: asked}).status_code == 201
        again = send("post", "/relaying", {name: asked})
        assert (is_replay(again), name in again) == (True, False)

    @pytest.mark.parametrize("url", ["/relaying/handler", "/relaying/late", "/relaying/granted"])
    def test_a_view_that_relays_the_headers_of_another_uses_up_what_it_is_granted(
        self, send: Any, alice: str, url: str
    ) -> None:
        """The other's answer was a replay, and this one is none."""
        grant(principal=alice, permission=MAKE, uses_limit=1, now=clock.now())
        assert [send("post", url).status_code for _ in range(2)] == [201, 403]
        assert effects() == 1


class TestASuccessWithoutEffect:
    """An exception that left atomic(savepoint=False) marks the transaction for rollback. A view that catches it answers
    201.
    """

    @pytest.mark.parametrize("url", ["/effect-that-goes", "/joined-effect-that-goes"])
    def test_a_success_without_effect_is_not_stored(self, mtls_client: Any, alice: str, url: str) -> None:
        grant(principal=alice, permission=MAKE, now=clock.now())
        with pytest.raises(Misuse, match="rolled back"):
            mtls_client("alice").post(url, headers={"Idempotency-Key": "k"})
        assert (effects(), IdempotencyRecord.objects.count()) == (0, 0)
