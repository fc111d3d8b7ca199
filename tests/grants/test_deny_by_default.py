"""Actions, methods, permission names and objects without a grant are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from securecore import clock
from securecore.checks.grants import e608_unnamed_actions, e609_unknown_actions
from securecore.errors import Misuse, TextRefused
from securecore.grants import Grant, authorize, decide, grant, principal_of
from securecore.http.decorators import FreshMixin, requires
from securecore.http.permissions import GrantedView, HasGrant
from securecore.testing import MutualTLSClient
from tests.grants.granted_views import MAKE, opened
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.grants.granted_views")]

Give = Callable[..., bool]
BODIES = {"post": {"name": "new"}, "put": {"name": "other"}, "patch": {"name": "other"}}


@pytest.fixture
def client(mtls_client: Callable[..., MutualTLSClient]) -> MutualTLSClient:
    return mtls_client("alice", raise_request_exception=False)


@pytest.fixture
def strict(mtls_client: Callable[..., MutualTLSClient]) -> MutualTLSClient:
    """A test client that raises the exception of the view."""
    return mtls_client("alice")


@pytest.fixture
def caller(client: MutualTLSClient) -> str:
    return principal_of(User.objects.get(username="alice"))


def send(client: MutualTLSClient, verb: str, url: str, **more: Any) -> Any:
    return getattr(client, verb)(url, data=BODIES.get(verb, ""), content_type="application/json", **more)


class TestTheManual:
    """docs/grants.md, "In views": the text of the manual is the view."""

    #: Verb, whether the URL names one object, permission.
    ACTIONS = (
        ("get", True, "accounts.read"),
        ("head", True, "accounts.read"),
        ("post", False, "accounts.open"),
        ("put", True, "accounts.change"),
        ("patch", True, "accounts.change"),
        ("delete", True, "accounts.close"),
    )

    @pytest.mark.parametrize(("verb", "is_of_one", "permission"), ACTIONS)
    def test_the_manual_each_action_needs_its_grant(
        self, client: MutualTLSClient, caller: str, give: Give, verb: str, is_of_one: bool, permission: str
    ) -> None:
        one = Group.objects.create(name="one")
        url = f"/accounts/{one.pk}" if is_of_one else "/accounts"
        assert send(client, verb, url).status_code == 403
        assert list(Group.objects.values_list("name", flat=True)) == ["one"]
        give(caller, permission)
        assert send(client, verb, url).status_code in (200, 201, 204)

    @pytest.mark.parametrize("verb", ["get", "head"])
    def test_the_manual_none_opens_an_action(self, client: MutualTLSClient, verb: str) -> None:
        assert send(client, verb, "/accounts").status_code == 200
        assert send(MutualTLSClient(None), verb, "/accounts").status_code == 401

    def test_the_manual_an_extra_action_counts(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        one = Group.objects.create(name="one")
        assert send(client, "get", f"/accounts/{one.pk}/statement").status_code == 403
        give(caller, "accounts.read")
        assert send(client, "get", f"/accounts/{one.pk}/statement").status_code == 200

    def test_the_manual_permission_classes_with_a_grant(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        assert send(client, "post", "/payouts").status_code == 403
        give(caller, "payouts.create")
        assert send(client, "post", "/payouts").status_code == 201


class TestAnUnnamedAction:
    @pytest.mark.parametrize(("verb", "is_of_one"), [("post", False), ("get", True), ("head", True)])
    def test_an_unnamed_action_of_a_viewset_is_refused(
        self, strict: MutualTLSClient, caller: str, give: Give, verb: str, is_of_one: bool
    ) -> None:
        one = Group.objects.create(name="one")
        give(caller)
        with pytest.raises(Misuse, match=r"grants.*(create|retrieve)"):
            send(strict, verb, f"/unnamed/{one.pk}" if is_of_one else "/unnamed")
        assert effects() == 1

    def test_an_unnamed_action_patch_goes_by_update(self, client: MutualTLSClient, caller: str, give: Give) -> None:
        one = Group.objects.create(name="one")
        assert send(client, "patch", f"/unnamed/{one.pk}").status_code == 403
        give(caller)
        assert send(client, "patch", f"/unnamed/{one.pk}").status_code == 200

    @pytest.mark.parametrize("url", ["/unnamed-methods", "/replaced", "/unlisted/unlisted"])
    def test_an_unnamed_action_of_any_other_view_is_refused(
        self, strict: MutualTLSClient, caller: str, give: Give, url: str
    ) -> None:
        give(caller)
        with pytest.raises(Misuse, match="grants"):
            send(strict, "post", url)
        assert effects() == 0

    def test_an_unnamed_action_is_found_at_start(self) -> None:
        (found,) = e608_unnamed_actions()
        for name in ("Unnamed.create", "Unnamed.retrieve", "UnnamedMethods.post", "Replaced.post", "Unlisted.unlisted"):
            assert name in found.msg, name
        for name in ("partial_update", "Accounts", "Payouts", "Classwide", "Extra", "Opened", "Misspelt", "get"):
            assert not re.search(rf"\b{name}\b", found.msg), name


class TestAMisspeltName:
    @pytest.mark.parametrize(("verb", "url"), [("get", "/misspelt"), ("get", "/misspelt-method")])
    def test_a_misspelt_name_is_refused(
        self, strict: MutualTLSClient, caller: str, give: Give, verb: str, url: str
    ) -> None:
        give(caller)
        with pytest.raises(Misuse, match=r"delete|retrieve"):
            send(strict, verb, url)

    def test_a_misspelt_name_is_found_at_start(self) -> None:
        (found,) = e609_unknown_actions()
        assert "Misspelt.grants['delete']" in found.msg
        assert "MisspeltMethod.grants['retrieve']" in found.msg
        assert "Unnamed" not in found.msg

    @pytest.mark.parametrize("names", [{"list": ""}, {"list": 7}, {"list": "*"}, ["list"]])
    def test_a_misspelt_name_what_is_no_permission_is_refused_at_import(self, names: Any) -> None:
        with pytest.raises(Misuse):
            type("View", (GrantedView,), {"grants": names})


class TestMethods:
    @pytest.mark.parametrize("verb", ["get", "head"])
    def test_methods_head_is_get(self, client: MutualTLSClient, caller: str, give: Give, verb: str) -> None:
        assert (send(client, verb, "/named").status_code, effects()) == (403, 0)
        give(caller)
        assert (send(client, verb, "/named").status_code, effects()) == (200, 1)

    def test_methods_one_that_the_view_has_not_is_405(self, client: MutualTLSClient, caller: str) -> None:
        urls = ("/named", "/accounts", "/payouts")
        assert [send(client, "delete", url).status_code for url in urls] == [405, 405, 403]

    def test_methods_options_is_closed_unless_it_is_named(
        self, client: MutualTLSClient, caller: str, give: Give
    ) -> None:
        give(caller)
        statuses = [client.options(url).status_code for url in ("/named", "/accounts", "/opened", "/classwide")]
        assert statuses == [405, 405, 200, 200]


class TestASubclass:
    @pytest.mark.parametrize("url", ["/replaced-permissions", "/overridden-get-permissions"])
    def test_a_subclass_that_replaces_permissions_keeps_the_grants(
        self, client: MutualTLSClient, caller: str, give: Give, url: str
    ) -> None:
        assert (send(client, "post", url).status_code, effects()) == (403, 0)
        give(caller)
        assert (send(client, "post", url).status_code, effects()) == (200, 1)

    def test_a_subclass_that_checks_nothing_is_refused(self, strict: MutualTLSClient, caller: str, give: Give) -> None:
        give(caller)
        with pytest.raises(Misuse, match="check_permissions"):
            send(strict, "post", "/overridden-check-permissions")
        assert effects() == 0, "and before it has an effect"

    @pytest.mark.parametrize("name", ["listed", "guarded", "decorated"])
    def test_a_subclass_an_action_with_permissions_of_its_own_keeps_the_grant(
        self, client: MutualTLSClient, caller: str, give: Give, name: str
    ) -> None:
        assert (send(client, "post", f"/extra/{name}").status_code, effects()) == (403, 0)
        give(caller)
        assert (send(client, "post", f"/extra/{name}").status_code, effects()) == (200, 1)


def test_the_browsable_api_shows_what_may_be_done(client: MutualTLSClient, caller: str, give: Give) -> None:
    give(caller, "things.list")
    assert 'method="POST"' not in client.get("/browsable").content.decode()
    give(caller, uses_limit=1)
    assert 'method="POST"' in client.get("/browsable").content.decode()
    assert [send(client, "post", "/browsable").status_code, effects()] == [201, 1], "looking used nothing up"


class TestLateWork:
    ALL = ("granted", "required", "handler", "late", "keyed", "required-keyed", "granted-keyed")

    @pytest.mark.parametrize("way", ALL)
    @pytest.mark.parametrize("kind", ["stream", "file"])
    def test_late_work_a_stream_is_refused(
        self, strict: MutualTLSClient, caller: str, give: Give, way: str, kind: str
    ) -> None:
        give(caller)
        with pytest.raises(Misuse, match="streaming"):
            send(strict, "post", f"/late-work/{way}/{kind}", headers={"Idempotency-Key": "one"})
        assert effects() == 0
        assert kind == "stream" or opened[-1].closed

    @pytest.mark.parametrize("way", ["granted", "handler", "granted-keyed"])
    def test_late_work_a_response_is_rendered_inside(
        self, client: MutualTLSClient, caller: str, give: Give, way: str
    ) -> None:
        give(caller)
        answer = send(client, "post", f"/late-work/{way}/lazy", headers={"Idempotency-Key": "one"})
        assert (answer.status_code, answer.json()[0]) == (200, "True")

    @pytest.mark.parametrize("way", ALL)
    @pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
    def test_late_work_a_returned_error_takes_its_effects_back(
        self, client: MutualTLSClient, caller: str, give: Give, way: str, status: int
    ) -> None:
        give(caller, uses_limit=1)
        url, headers = f"/late-work/{way}/{status}", {"Idempotency-Key": "one"}
        first, second = (send(client, "post", url, headers=headers) for _ in range(2))
        assert ([first.status_code, second.status_code], effects()) == ([status, status], 0)
        is_stored = "keyed" in way and status in (400, 404, 422)
        assert ("Idempotency-Replayed" in second) is is_stored
        assert send(client, "post", f"/late-work/{way}/201", headers={"Idempotency-Key": "two"}).status_code == 201
        assert effects() == 1, "the error used nothing up"


class TestAnObjectThatIsNot:
    URLS = ("/about-one", "/about-one-or-404", "/about-one-late", "/by-name")

    @pytest.mark.parametrize("url", URLS)
    def test_an_object_that_is_not_is_told_to_those_alone_who_may_on_all(
        self, client: MutualTLSClient, caller: str, give: Give, url: str
    ) -> None:
        def statuses() -> list[int]:
            return [client.get(f"{url}/{name}").status_code for name in ("own", "other", "missing")]

        own, _ = (Group.objects.create(name=name) for name in ("own", "other"))
        assert statuses() == [403, 403, 403]
        give(caller, obj=own)
        assert statuses() == [200, 403, 403]
        give(caller)
        assert statuses() == [200, 200, 404]


class TestNames:
    BAD = ("", " ", "*", "role:", "two\nlines", "x" * 129, None, 7)

    @pytest.mark.parametrize("name", BAD)
    def test_names_what_is_no_permission_is_refused_everywhere(self, caller: str, name: Any) -> None:
        for call in (
            lambda: requires(name),
            lambda: HasGrant(name),
            lambda: grant(principal=caller, permission=name, now=clock.now()),
            lambda: grant(principal=caller, permission=name, denies=True, now=clock.now()),
            lambda: authorize(caller, name, clock=clock.now).__enter__(),
        ):
            with pytest.raises((Misuse, TextRefused)):  # TextRefused for a text that may come from a request
                call()

    def test_names_a_bare_decorator_is_refused(self) -> None:
        with pytest.raises(Misuse, match=r"@requires\("):
            requires(lambda request: None)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["user:", "user:1\n2", "user:" + "9" * 160])
    def test_names_what_is_no_principal_is_refused(self, name: str) -> None:
        with pytest.raises((Misuse, TextRefused)):
            grant(principal=name, permission=MAKE, now=clock.now())

    @pytest.mark.parametrize("is_of_role", [False, True])
    def test_names_a_row_named_for_everything_grants_nothing(
        self, caller: str, client: MutualTLSClient, give: Give, is_of_role: bool
    ) -> None:
        """Written past ``grant()``: by SQL, by a migration, by an import."""
        holder = caller
        if is_of_role:
            give(caller, "role:all")
            holder = "role:all"
        Grant.objects.create(principal=holder, permission="*", granted_at=clock.now())
        assert send(client, "post", "/named").status_code == 403
        user = User.objects.get(username="alice")
        request: Any = client.get("/opened").wsgi_request
        assert not request.certificate_user.has_perm(MAKE)
        assert not user.has_perm(MAKE)

    def test_names_a_row_that_denies_everything_still_does(
        self, caller: str, client: MutualTLSClient, give: Give
    ) -> None:
        give(caller)
        Grant.objects.create(principal=caller, permission="*", denies=True, granted_at=clock.now())
        assert send(client, "post", "/named").status_code == 403

    def test_names_decide_by_hand(self, caller: str) -> None:
        from django.db import transaction

        with transaction.atomic(), pytest.raises(Misuse, match="permission"):
            decide(caller, "*", clock=clock.now)


class TestFreshMethods:
    def test_fresh_methods_a_misspelt_method_is_refused(self) -> None:
        for methods in (("post",), ("POTS",), "POST", ()):
            with pytest.raises(Misuse, match="fresh_methods"):
                type("View", (FreshMixin,), {"fresh_methods": methods})

    def test_fresh_methods_every_unsafe_method_is_fresh(self) -> None:
        assert FreshMixin.demands_freshness("PURGE")
        assert not FreshMixin.demands_freshness("GET")

    def test_fresh_methods_head_is_get(self) -> None:
        view: Any = type("View", (FreshMixin,), {"fresh_methods": ("GET",)})
        assert view.demands_freshness("HEAD")
