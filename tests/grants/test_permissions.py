"""The permission of a view: the decorator, the permission class and the mixin, through all middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from securecore import clock
from securecore.errors import Misuse
from securecore.grants import Grant, principal_of, principals
from securecore.grants.models import GrantUse
from securecore.revocation import revoke_grant
from securecore.testing import Issued, MutualTLSClient
from tests.grants.conftest import MAKE
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.grants.urls")]

Give = Callable[..., bool]


@pytest.fixture
def client(mtls_client: Callable[..., MutualTLSClient]) -> MutualTLSClient:
    return mtls_client("alice", raise_request_exception=False)


@pytest.fixture
def caller(client: MutualTLSClient) -> str:
    return principal_of(User.objects.get(username="alice"))


def post(client: MutualTLSClient, url: str, key: str = "") -> Any:
    return client.post(url, headers={"Idempotency-Key": key or "one"})


class TestRequires:
    def test_requires_asks_about_the_object(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        for name in ("own", "other"):
            Group.objects.create(name=name)
        give(caller, obj=Group.objects.get(name="own"))
        assert [client.post(f"/group/{name}").status_code for name in ("own", "other")] == [201, 403]

    def test_requires_consumes_what_the_request_says(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        give(caller, amount_limit=100)
        assert post(client, "/consuming?amount=60", "a").status_code == 201
        answer = post(client, "/consuming?amount=41", "b")
        assert (answer.status_code, answer.json()["code"]) == (403, "allowance-exhausted")
        assert effects() == 1, "the effect of what was refused is undone"

    def test_requires_consumes_nothing_for_a_replay(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        """A client that lost the response to its last allowed use must learn that the use had its effect."""
        for url in ("/consuming?amount=1", "/late", "/making"):
            give(caller, uses_limit=1)
            assert post(client, url, url[1:5]).status_code == 201
            again = post(client, url, url[1:5])
            assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true"), url
            assert post(client, url, "another").json()["code"] == "allowance-exhausted", url
            assert GrantUse.objects.get().uses == 1
            revoke_grant(principal=caller, permission=MAKE)
            GrantUse.objects.all().delete()
        assert effects() == 3

    @pytest.mark.parametrize("url", ["/late", "/by-hand", "/late-by-hand", "/making"])
    def test_requires_every_form_refuses_and_lets_through(
        self, client: MutualTLSClient, caller: str, give: Give, url: str
    ) -> None:
        assert (post(client, url).status_code, effects()) == (403, 0)
        give(caller)
        assert (post(client, url).status_code, effects()) == (201, 1)

    def test_requires_knows_the_caller_by_its_certificate_too(
        self, client: MutualTLSClient, caller: str, give: Give, certificate_for: Callable[[str], Issued]
    ) -> None:
        from securecore.identity import parse_pem

        give(principals.certificate(parse_pem(certificate_for("alice").pem).thumbprint))
        assert client.post("/by-hand").status_code == 201

    def test_requires_knows_a_certificate_that_is_nobody_s(self, ca: Any, give: Give) -> None:
        from securecore.identity import parse_pem

        issued = ca.issue("robot")
        unknown = MutualTLSClient(issued)
        assert unknown.post("/by-hand").json()["code"] == "permission-denied"
        give(principals.certificate(parse_pem(issued.pem).thumbprint))
        assert unknown.post("/by-hand").status_code == 201
        assert MutualTLSClient(None).post("/by-hand").json()["code"] == "authentication-required"


class TestFreshness:
    def test_freshness_is_not_that_of_a_lease(
        self, client: MutualTLSClient, caller: str, give: Give, settings: Any
    ) -> None:
        settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 60_000}
        give(caller)
        assert post(client, "/by-hand").status_code == 201
        Grant.objects.update(revoked_at=clock.now())  # this change waits for no lease
        answer = post(client, "/by-hand")
        assert answer.wsgi_request.credentials.is_leased
        assert answer.wsgi_request.certificate_user.has_perm(MAKE)
        assert (answer.status_code, effects()) == (403, 1)

    def test_freshness_is_not_that_of_the_user_object(
        self, client: MutualTLSClient, caller: str, settings: Any
    ) -> None:
        """Django's backend caches the permissions in ``_perm_cache``."""
        settings.SECURECORE = settings.SECURECORE | {"DJANGO_PERMISSIONS": True}
        allowed = Permission.objects.get(content_type__app_label="auth", codename="add_group")
        User.objects.get(username="alice").user_permissions.add(allowed)
        assert (client.post("/shown-first").status_code, effects()) == (403, 0)


class TestGrantedView:
    def test_granted_view_asks_for_the_permission_of_each_action(
        self, client: MutualTLSClient, caller: str, give: Give
    ) -> None:
        group = Group.objects.create(name="before")
        assert client.get("/groups").status_code == 403
        give(caller, "things.list")
        assert client.get("/groups").status_code == 200
        assert rename(client, group, "after").status_code == 403
        give(caller)
        assert rename(client, group, "after").status_code == 200

    def test_granted_view_asks_about_the_object_that_the_view_gets(
        self, client: MutualTLSClient, caller: str, give: Give
    ) -> None:
        own, other = (Group.objects.create(name=name) for name in ("own", "other"))
        give(caller, obj=own)
        assert rename(client, own, "mine").status_code == 200
        assert rename(client, other, "mine too").status_code == 403
        other.refresh_from_db()
        assert other.name == "other"

    def test_granted_view_undoes_what_an_error_response_follows(
        self, client: MutualTLSClient, caller: str, give: Give
    ) -> None:
        group = Group.objects.create(name="before")
        give(caller)
        assert rename(client, group, "broken").status_code == 400
        group.refresh_from_db()
        assert group.name == "before"

    def test_granted_view_that_never_asked_about_its_object_does_nothing(
        self, caller: str, give: Give, mtls_client: Any
    ) -> None:
        give(caller)
        with pytest.raises(Misuse, match="get_object"):
            mtls_client("alice").get("/careless/1")
        assert effects() == 0

    def test_granted_view_is_what_the_permission_class_needs(self, caller: str, give: Give, mtls_client: Any) -> None:
        give(caller)
        with pytest.raises(Misuse, match="GrantedView"):
            mtls_client("alice").post("/ungated")


def rename(client: MutualTLSClient, group: Group, name: str) -> Any:
    return client.put(f"/groups/{group.pk}", {"name": name}, "application/json")
