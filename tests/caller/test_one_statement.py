"""One query reads everything for a request, however the caller authenticates, and the user object is complete."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import DatabaseError, connection, transaction
from django.db.models.signals import post_init
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from securecore import clock, server_functions, tokens
from securecore.caller import PresentedCredentials, query
from securecore.caller.query import CertificateLookup, Lookup
from securecore.caller.user_table import user_table
from securecore.database.functions import Function
from securecore.database.statements import Statement
from securecore.digests import jwk_thumbprint
from securecore.errors import InvalidToken
from securecore.grants import grant, principal_of, principals, revoke
from securecore.identity import Certificate, parse_pem
from securecore.sessions import Session, record_id
from securecore.testing import MutualTLSClient
from tests.caller.conftest import Caller
from tests.replay.proofs import ES256
from tests.support.functions import without_functions
from tests.tokens.calls import prove

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.caller.urls")]


class TestEveryAuthentication:
    @pytest.mark.parametrize("path", ["/certificate", "/token", "/session", "/django"])
    def test_every_authentication_costs_one_statement(
        self, caller: Caller, django_assert_num_queries: Any, path: str
    ) -> None:
        with django_assert_num_queries(1):
            assert caller.get(path).json()["username"] == "alice"

    @pytest.mark.parametrize("path", ["/certificate", "/token", "/session"])
    def test_every_authentication_gives_a_complete_user(self, caller: Caller, path: str) -> None:
        User.objects.update(email="alice@example.org", first_name="A")
        alice = User.objects.get()
        expected = {name: str(getattr(alice, name)) for name in ("pk", "username", "email", "first_name")}
        assert expected.items() <= caller.get(path).json().items()

    def test_every_authentication_by_dpop_costs_one_and_the_claim_of_the_proof(
        self, caller: Caller, mtls_client: Any, django_assert_num_queries: Any
    ) -> None:
        binding = f"jkt:{jwk_thumbprint(ES256.jwk)}"
        encoded, _ = tokens.issue(
            subject=str(caller.user.pk),
            client_id="payments",
            binding=binding,
            certificate=caller.thumbprint,
            now=clock.now(),
        )
        for client in (caller.client, mtls_client(None)):
            headers: Any = {"HTTP_AUTHORIZATION": f"DPoP {encoded}", "HTTP_DPOP": prove("/dpop", token=encoded)}
            with django_assert_num_queries(2):
                assert client.get("/dpop", **headers).json()["username"] == "alice"

    def test_every_authentication_costs_nothing_for_who_presents_nothing(
        self, mtls_client: Any, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            assert mtls_client(None).get("/token").status_code == 401

    def test_every_authentication_with_all_of_them_at_once_costs_no_more(
        self, caller: Caller, users: Any, django_assert_num_queries: Any
    ) -> None:
        """A certificate and a session of one user, and a token of another: the same query reads all, and the request is
        refused.
        """
        now = clock.now()
        encoded, _ = tokens.issue(
            subject=str(users["carol"].pk),
            client_id="payments",
            binding=f"x5t#S256:{caller.thumbprint}",
            now=now,
        )
        headers = {"HTTP_AUTHORIZATION": f"Bearer {encoded}"}
        with django_assert_num_queries(1):
            assert caller.get("/token", **headers).json()["code"] == "credentials-conflict"
        with django_assert_num_queries(1):
            assert caller.get("/token").json()["username"] == "alice"


class TestStatement:
    def test_statement_is_a_function_that_the_server_plans_once(self, caller: Caller) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL has PL/pgSQL")
        assert server_functions.missing() == []
        with CaptureQueriesContext(connection) as captured:
            called = _rows(caller)
        assert [query["sql"].split("(")[0] for query in captured] == [f"SELECT * FROM {_query(caller).name}"]
        with without_functions(), CaptureQueriesContext(connection) as captured:
            assert _rows(caller) == called
        assert ["securecore_certificate" in query["sql"] for query in captured] == [True]

    def test_statement_needs_no_table_as_a_whole(self, caller: Caller) -> None:
        """The query finds every part by an index, so its cost does not depend on the number of rows."""
        if connection.vendor != "postgresql":
            pytest.skip("the plan is PostgreSQL's")
        plans: list[str] = []

        def explain(execute: Any, sql: str, parameters: Any, *rest: Any) -> Any:
            plans.extend(line for (line,) in execute(f"EXPLAIN {sql}", parameters, *rest) or rest[1]["cursor"].cursor)
            return execute(sql, parameters, *rest)

        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        with without_functions(), connection.execute_wrapper(explain):
            _rows(caller)
        plan = "\n".join(plans)
        assert "Index" in plan
        assert "Seq Scan" not in plan

    def test_statement_is_seen_by_who_watches(self, caller: Caller) -> None:
        seen: list[str] = []

        def watch(execute: Any, sql: str, *rest: Any) -> Any:
            seen.append(sql)
            return execute(sql, *rest)

        with without_functions(), connection.execute_wrapper(watch):
            caller.get("/session")
        assert len(seen) == 1
        assert all(table in seen[0] for table in ("securecore_certificate", "securecore_session", "auth_user"))

    def test_statement_that_fails_raises_what_django_raises(self) -> None:
        for threshold in (None, 5):
            if connection.vendor == "postgresql":
                connection.ensure_connection()
                connection.connection.prepare_threshold = threshold
            with pytest.raises(DatabaseError), transaction.atomic():
                Statement("SELECT * FROM nowhere WHERE id = %(id)s").rows(connection, {"id": 1})
        if connection.vendor == "postgresql":
            connection.connection.prepare_threshold = None

    def test_statement_uses_parameters_more_than_once_and_percent_signs(self) -> None:
        statement = Statement("SELECT %(a)s || '100%%' || %(b)s || %(a)s")
        assert statement.rows(connection, {"a": "x", "b": "y"}) == [("x100%yx",)]


@pytest.mark.django_db(transaction=True)
class TestAnswer:
    def test_answer_is_not_kept(self, caller: Caller) -> None:
        """Each change is seen by the next request, and so is the change back."""
        for name in ("first", "second", "", "first"):
            User.objects.update(first_name=name)
            for path in ("/certificate", "/token", "/session"):
                assert caller.get(path).json()["first_name"] == name
        User.objects.update(is_active=False)
        assert caller.get("/token").status_code == 401

    def test_answer_lets_a_model_query_while_its_users_are_built(self, caller: Caller) -> None:

        def asks(instance: Any, **_: Any) -> None:
            instance.first_name = str(Group.objects.count())

        post_init.connect(asks, sender=User)
        try:
            for _ in range(3):
                assert caller.get("/certificate").json()["first_name"] == "0"
        finally:
            post_init.disconnect(asks, sender=User)


class TestToken:
    def test_token_of_a_certificate_that_was_revoked_is_nobody_s(
        self, caller: Caller, certificate_for: Any, now: dt.datetime
    ) -> None:
        """Also if no view asks for the certificate's user, and under any certificate."""
        _, token = tokens.issue(
            subject=str(caller.user.pk), client_id="payments", binding=f"x5t#S256:{caller.thumbprint}", now=now
        )
        shown = [parse_pem(certificate_for("alice").pem), None]
        for certificate in shown:
            assert PresentedCredentials(now, certificate=certificate, token=token).user_of_token() == caller.user
        Certificate.objects.update(revoked_at=now)
        for certificate in shown:
            with pytest.raises(InvalidToken):
                PresentedCredentials(now, certificate=certificate, token=token).user_of_token()


class TestSession:
    def test_session_that_has_expired_opens_nothing(self, caller: Caller, now: dt.datetime) -> None:
        past = now - dt.timedelta(seconds=1)
        Session.objects.update(expires_at=past)
        assert caller.get("/session").status_code in (401, 403)

    def test_session_of_a_changed_password_opens_nothing(self, caller: Caller) -> None:
        caller.user.set_password("another")
        caller.user.save()
        assert caller.get("/django").json()["username"] == ""
        assert not Session.objects.exists()

    def test_session_of_an_unknown_backend_opens_nothing(self, caller: Caller, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
        assert caller.get("/django").json()["username"] == ""

    def test_session_of_another_user_in_its_row_is_django_s_to_judge(self, caller: Caller, users: Any) -> None:
        Session.objects.update(user=users["bob"])
        assert caller.get("/django").json()["username"] == "alice"

    def test_session_goes_on_after_the_secret_key_was_changed(self, caller: Caller, settings: Any) -> None:
        settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another one"
        assert caller.get("/django").json()["username"] == "alice"


class TestHasPerm:
    def test_has_perm_is_answered_from_the_statement(self, caller: Caller, django_assert_num_queries: Any) -> None:
        for permission in ("transfers.create", "accounts.read"):
            grant(principal=principal_of(caller.user), permission=permission, now=clock.now())
        with django_assert_num_queries(1):
            assert caller.get("/may?permission=transfers.create").json() == {"may": True}
        with django_assert_num_queries(1):
            assert caller.get("/may?permission=accounts.read").json() == {"may": True}

    @pytest.mark.parametrize("permission", ["transfers", "create", "transfers.creat", "", "transfers.create\naccounts"])
    def test_has_perm_is_no_for_what_was_not_granted(self, caller: Caller, permission: str) -> None:
        grant(principal=principal_of(caller.user), permission="transfers.create", now=clock.now())
        grant(principal="user:0", permission="accounts.read", now=clock.now())
        for asked in (permission, "accounts.read"):
            assert caller.client.get("/may", {"permission": asked}, **caller.headers).json() == {"may": False}

    def test_has_perm_is_no_at_the_next_request(self, caller: Caller) -> None:
        grant(principal=principal_of(caller.user), permission="transfers.create", now=clock.now())
        assert caller.get("/may?permission=transfers.create").json() == {"may": True}
        revoke(principal=principal_of(caller.user), permission="transfers.create", now=clock.now())
        assert caller.get("/may?permission=transfers.create").json() == {"may": False}

    def test_has_perm_knows_what_follows_from_group_role_and_certificate(
        self, caller: Caller, django_assert_num_queries: Any
    ) -> None:
        group = Group.objects.create(name="clerks")
        caller.user.groups.add(group)
        for holder, permission in (
            (principals.group(group), "accounts.read"),
            (principal_of(caller.user), principals.role("payer")),
            (principals.role("payer"), "transfers.create"),
            (principals.certificate(caller.thumbprint), "reports.read"),
        ):
            grant(principal=holder, permission=permission, now=clock.now())
        for permission in ("accounts.read", "transfers.create", "reports.read"):
            with django_assert_num_queries(1):
                assert caller.get(f"/may?permission={permission}").json() == {"may": True}

    def test_has_perm_is_no_for_what_is_denied(self, caller: Caller) -> None:
        caller.user.user_permissions.add(Permission.objects.get(codename="add_user"))
        grant(principal=principal_of(caller.user), permission="auth.add_user", denies=True, now=clock.now())
        assert caller.get("/may?permission=auth.add_user").json() == {"may": False}

    def test_has_perm_knows_django_s_own_permissions_too(self, caller: Caller) -> None:
        caller.user.user_permissions.add(Permission.objects.get(codename="add_user"))
        assert caller.get("/may?permission=auth.add_user").json() == {"may": True}


def _lookup(caller: Caller) -> Lookup:
    key = caller.client.cookies["__Host-sessionid"].value
    return Lookup(CertificateLookup((caller.thumbprint,)), token=caller.token, session_id=record_id(key))


def _query(caller: Caller) -> Function:
    return query.query(_lookup(caller).kinds, user_table())


def _rows(caller: Caller) -> list[Any]:
    parameters = query.parameters(_lookup(caller), user_table(), clock.now(), connection)
    return _query(caller).rows(connection, parameters)


def test_admin_works(mtls_client: Any, caller: Caller) -> None:
    """Django's own views, which do not know securecore."""
    User.objects.update(is_staff=True, is_superuser=True)
    client: MutualTLSClient = caller.client
    client.post("/auth/login")
    with override_settings(ROOT_URLCONF="tests.urls"):
        answer = client.get("/admin/")
    assert answer.status_code == 200
    assert b"alice" in answer.content
