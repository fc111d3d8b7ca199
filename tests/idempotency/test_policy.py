"""The options of a view: retention, waiting, stored statuses, body size, and the fingerprint."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory

from securecore.errors import IdempotencyKeyReused, IdempotencyResponseUnreadable, Misuse
from securecore.http.decorators import idempotent
from securecore.idempotency import IdempotencyRecord
from securecore.idempotency.record import CLAIM
from securecore.testing import identified
from tests.support.views import effects, make_effect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(users: dict[str, User], rf: RequestFactory) -> Any:
    """`ask(view, "/?a=1", body, key=)` calls a decorated view as alice."""

    def ask(view: Any, path: str = "/", body: str = "{}", *, key: str | None = "k", method: str = "POST") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        request: Any = rf.generic(method, path, body, content_type="application/json", headers=headers)
        return view(identified(request, user=users["alice"]))

    return ask


def make(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": make_effect()}, status=int(request.GET.get("status", "201")))


def was_replayed(response: Any) -> bool:
    return "Idempotency-Replayed" in response


class TestRequired:
    def test_required_may_be_left_to_the_client(self, ask: Any) -> None:
        view = idempotent(required=False)(make)
        first, second = ask(view, key=None), ask(view, key=None)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content != second.content
        assert ask(view).content == ask(view).content


class TestRetention:
    def test_retention_is_how_long_a_response_is_repeated(self, ask: Any) -> None:
        ask(idempotent(retention=60)(make))
        row = IdempotencyRecord.objects.get()
        assert row.expires_at - row.created_at == dt.timedelta(seconds=60)

    def test_retention_is_a_day_by_default(self, ask: Any) -> None:
        ask(idempotent(make))
        row = IdempotencyRecord.objects.get()
        assert row.expires_at - row.created_at == dt.timedelta(days=1)

    def test_retention_in_another_spelling_is_named(self) -> None:
        with pytest.raises(Misuse, match=r"no argument retention_seconds\. Do you mean retention="):
            idempotent(retention_seconds=3)

    @pytest.mark.parametrize("name", ["retention", "lease", "max_body"])
    @pytest.mark.parametrize(
        "value", [0, -1, "60", True, float("nan"), float("inf"), 1e300, dt.timedelta(1), Decimal(1)]
    )
    def test_retention_that_is_no_number_of_seconds_is_misuse(self, name: str, value: Any) -> None:
        with pytest.raises(Misuse, match=name):
            idempotent(**{name: value})


class TestStores:
    def test_stores_what_the_view_says(self, ask: Any) -> None:
        view = idempotent(stores=lambda status: status == 201)(make)
        assert not was_replayed(ask(view, "/?status=404"))
        assert not was_replayed(ask(view, "/?status=404"))
        assert not was_replayed(ask(view, "/?status=201"))  # the key was free
        assert was_replayed(ask(view, "/?status=201"))
        assert effects() == 1

    def test_stores_more_than_by_default(self, ask: Any) -> None:
        view = idempotent(stores=lambda status: True)(make)
        assert [was_replayed(ask(view, "/?status=500")) for _ in range(2)] == [False, True]


class TestMaxBody:
    def test_max_body_may_be_larger(self, ask: Any) -> None:
        view = idempotent(max_body=100_000)(lambda request: HttpResponse(b"x" * 100_000))
        assert ask(view).content == ask(view).content

    def test_max_body_takes_the_effect_back_when_exceeded(self, ask: Any) -> None:
        """If the response cannot be repeated, the effect must not commit."""
        with pytest.raises(Misuse, match="max_body"):
            ask(idempotent(max_body=10)(make))
        assert (effects(), IdempotencyRecord.objects.count()) == (0, 0)


class TestFingerprint:
    @pytest.mark.parametrize("other", ["/?a=2&b=1", "/?a=1", "/?a=1&b=2&b=2"])
    def test_fingerprint_is_the_whole_request(self, ask: Any, other: str) -> None:
        view = idempotent(make)
        ask(view, "/?a=1&b=2")
        with pytest.raises(IdempotencyKeyReused):
            ask(view, other)

    def test_fingerprint_does_not_mind_the_order_of_the_query(self, ask: Any) -> None:
        view = idempotent(make)
        assert ask(view, "/?a=1&b=2").content == ask(view, "/?b=2&a=1").content
        assert ask(view, "/?a=1&b=2&a=3", key="two").content == ask(view, "/?b=2&a=1&a=3", key="two").content

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("a=1&a=2", "a=2&a=1"),
            ("a=1&a=2&b=3", "a=1&a=2&a=3"),
            ("a=b&a=c", "a=b&c="),
            ("a=%ff", "a=%fe"),
            ("%ff=1", "%fe=1"),
            ("a=", "a=%00"),
            ("a=1", "a=1&a=1"),
        ],
    )
    def test_fingerprint_minds_the_order_of_one_name_s_values_and_every_byte(
        self, ask: Any, first: str, second: str
    ) -> None:
        view = idempotent(make)
        ask(view, f"/?{first}")
        with pytest.raises(IdempotencyKeyReused):
            ask(view, f"/?{second}")

    def test_fingerprint_may_leave_parts_out(self, ask: Any) -> None:
        view = idempotent(fingerprint=("body",))(make)
        assert ask(view, "/?trace=1").content == ask(view, "/?trace=2").content
        with pytest.raises(IdempotencyKeyReused):
            ask(view, body='{"a": 1}')

    def test_fingerprint_may_be_a_function_of_the_request(self, ask: Any) -> None:
        view = idempotent(fingerprint=lambda request: request.GET["to"])(make)
        assert ask(view, "/?to=bob&at=1", "x").content == ask(view, "/?to=bob&at=2", "y").content
        with pytest.raises(IdempotencyKeyReused):
            ask(view, "/?to=carol")


class TestClaim:
    def test_claim_is_told_to_the_view_with_the_key_for_the_next_service(self, ask: Any) -> None:
        seen: list[str] = []

        def view(request: Any) -> HttpResponse:
            claim = request.idempotency
            seen.extend([claim.key_for("bank"), claim.key_for("bank"), claim.key_for("mail")])
            return HttpResponse()

        ask(idempotent(view))
        ask(idempotent(view), key="another")
        assert seen[0] == seen[1]
        assert len({seen[0], seen[2], seen[3]}) == 3


class TestEncryption:
    @pytest.fixture
    def use(self, settings: Any) -> Any:
        def use(*keys: bytes) -> None:
            names = [key.decode() for key in keys]
            settings.SECURECORE = settings.SECURECORE | {"ENCRYPTION_KEYS": names}

        return use

    def test_encryption_leaves_nothing_to_read_in_the_table(self, ask: Any, use: Any) -> None:
        use(Fernet.generate_key())

        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(b"a secret response", headers={"Location": "/secret/place"})

        first, second = (ask(idempotent(view)) for _ in range(2))
        assert was_replayed(second)
        assert (second.content, second["Location"]) == (first.content, "/secret/place")
        row = IdempotencyRecord.objects.values().get()
        assert b"secret" not in bytes(row["body"])
        assert "secret" not in str(row["headers"])

    def test_encryption_rotates(self, ask: Any, use: Any) -> None:
        old, new = Fernet.generate_key(), Fernet.generate_key()
        use(old)
        first = ask(idempotent(make))
        use(new, old)
        assert ask(idempotent(make)).content == first.content
        ask(idempotent(make), key="later")
        use(new)
        assert was_replayed(ask(idempotent(make), key="later"))
        with pytest.raises(IdempotencyResponseUnreadable):
            ask(idempotent(make))
        assert effects() == 2  # the effect is not repeated only because the response cannot be read

    def test_encryption_reads_what_was_stored_before_it(self, ask: Any, use: Any) -> None:
        first = ask(idempotent(make))
        use(Fernet.generate_key())
        assert ask(idempotent(make)).content == first.content

    def test_encryption_binds_the_response_to_its_key(self, ask: Any, use: Any) -> None:
        """An attacker with write access to the table cannot make one key return the response of another."""
        use(Fernet.generate_key())
        ask(idempotent(make), key="one")
        ask(idempotent(make), key="two")
        one, two = IdempotencyRecord.objects.order_by("created_at")
        IdempotencyRecord.objects.filter(pk=two.pk).update(body=one.body)
        with pytest.raises(IdempotencyResponseUnreadable):
            ask(idempotent(make), key="two")


def test_five_statements_are_all_it_takes(ask: Any, django_assert_num_queries: Any) -> None:
    """BEGIN, claim, effect, UPDATE, COMMIT; the effect is the view's own statement."""
    with django_assert_num_queries(5) as captured:
        ask(idempotent(make))
    begin, claim, effect, store, commit = [query["sql"] for query in captured.captured_queries]
    assert (begin.split()[0], commit) == ("BEGIN", "COMMIT")
    assert claim.startswith(("INSERT", f"SELECT * FROM {CLAIM.function.name}"))
    assert (effect.split()[0], store.split()[0]) == ("INSERT", "UPDATE")
