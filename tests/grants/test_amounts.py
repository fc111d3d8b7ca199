"""An amount is a whole number above zero. Another value from a caller is a 400, from a programmer Misuse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from securecore import clock
from securecore.errors import AllowanceExhausted, AmountRefused, Misuse, Refused, TextRefused
from securecore.grants import Grant, authorize, late_gate, principal_of, revoke
from securecore.grants.models import GrantUse
from securecore.testing import MutualTLSClient
from tests.grants.conftest import MAKE
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.grants.urls")]

Give = Callable[..., bool]
LARGEST = 2**63 - 1
LIMITS: list[dict[str, Any]] = [{}, {"uses_limit": 1000}, {"amount_limit": 1}, {"amount_limit": LARGEST}]
WRONG_TYPES: list[Any] = [0.49, 1.0, "1", True, False, Decimal(1), Fraction(1), [1], b"1", float("nan")]
OUT_OF_RANGE = [0, -1, -(2**63), 2**63, 2**64, 10**400]
NOT_SENT_RIGHT = ["0.49", "1.0", "-1", "0", '"1"', "true", "[1]", "{}", str(2**63), str(10**400), "1e2", "1e400"]


def use(principal: str, amount: Any) -> None:
    with authorize(principal, MAKE, consume=amount, clock=clock.now):
        pass


@pytest.mark.parametrize("limits", LIMITS)
class TestAmount:
    @pytest.mark.parametrize("amount", WRONG_TYPES, ids=repr)
    def test_amount_of_another_type_is_the_programmer_s(self, alice: str, give: Give, limits: Any, amount: Any) -> None:
        give(alice, **limits)
        with pytest.raises(Misuse, match="an amount is an int"):
            use(alice, amount)

    @pytest.mark.parametrize("amount", OUT_OF_RANGE, ids=lambda amount: str(amount)[:20])
    def test_amount_out_of_range_is_the_caller_s(self, alice: str, give: Give, limits: Any, amount: Any) -> None:
        give(alice, **limits)
        with pytest.raises(AmountRefused):
            use(alice, amount)

    @pytest.mark.parametrize("amount", [2**31, 2**62, 2**62 + 1, LARGEST])
    def test_amount_up_to_the_largest_is_counted(self, alice: str, give: Give, limits: Any, amount: int) -> None:
        give(alice, **limits)
        for _ in range(2):
            try:
                use(alice, amount)
            except AllowanceExhausted:
                assert limits
        assert all(spent <= LARGEST for spent in GrantUse.objects.values_list("amount", flat=True))


@pytest.mark.parametrize("amount", [*WRONG_TYPES, *OUT_OF_RANGE], ids=lambda amount: repr(amount)[:20])
def test_a_late_gate_asks_before_the_view_has_run(alice: str, give: Give, amount: Any) -> None:
    give(alice, amount_limit=10)
    with pytest.raises((Misuse, AmountRefused)), late_gate(alice, clock=clock.now) as late:
        late.require(MAKE, consume=amount)
        pytest.fail("the view ran")


def test_the_counter_of_uses_never_overflows(alice: str, give: Give) -> None:
    give(alice, amount_limit=10)
    use(alice, 1)
    GrantUse.objects.update(uses=2**31 - 1)
    use(alice, 1)
    assert GrantUse.objects.get().amount == 2


@pytest.mark.parametrize("sent", NOT_SENT_RIGHT)
@pytest.mark.parametrize("path", ["/spending", "/spending/late", "/spending/granted"])
class TestSent:
    def test_sent_is_a_problem_and_has_no_effect(
        self, mtls_client: Callable[..., MutualTLSClient], give: Give, path: str, sent: str
    ) -> None:
        client = mtls_client("alice", raise_request_exception=False)
        give(principal_of(User.objects.get(username="alice")), amount_limit=100)
        answer = client.post(path, f'{{"amount": {sent}}}', content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, "amount-refused")
        assert effects() == 0
        assert not GrantUse.objects.exists()


@pytest.mark.parametrize("path", ["/spending", "/spending/late", "/spending/granted"])
def test_an_amount_that_was_not_sent_is_a_problem(
    mtls_client: Callable[..., MutualTLSClient], give: Give, path: str
) -> None:
    client = mtls_client("alice", raise_request_exception=False)
    give(principal_of(User.objects.get(username="alice")), amount_limit=100)
    answers = [client.post(path, body, content_type="application/json") for body in ("{}", "[]", '"x"', "7")]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "amount-refused")}
    assert effects() == 0


SOON = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("uses_limit", "amount_limit") for value in [*WRONG_TYPES, 0, -1, 2**63, 10**400]),
        *(("period", value) for value in [*WRONG_TYPES, 0, -1, 2**31]),
        ("uses_limit", 2**31),
        *((name, value) for name in ("valid_from", "valid_until") for value in ("2026-01-01", 1, dt.datetime.now())),  # noqa: DTZ005
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_limit_that_cannot_be_is_refused_before_it_is_stored(alice: str, give: Give, name: str, value: Any) -> None:
    more = {"uses_limit": 1} if name == "period" else {}
    with pytest.raises((Misuse, AmountRefused)) as refusal:
        give(alice, **more, **{name: value})
    assert name in str(refusal.value)
    assert not Grant.objects.exists()


@pytest.mark.parametrize(
    "limits",
    [
        {"period": 60},
        {"uses_limit": 1, "denies": True},
        {"valid_from": clock.now() + SOON, "valid_until": clock.now()},
        {"valid_from": clock.now(), "valid_until": clock.now() - SOON},
    ],
)
def test_limits_that_contradict_each_other_are_misuse(alice: str, give: Give, limits: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        give(alice, **limits)


UNSTORABLE = ["a\0b", "\0", "\ud800", "a\udcffb", "x" * 10_000]


@pytest.mark.parametrize("text", UNSTORABLE, ids=lambda text: ascii(text)[:20])
class TestTexts:
    @pytest.mark.parametrize("act", ["grant", "revoke", "check", "late"])
    @pytest.mark.parametrize("place", ["principal", "permission", "role", "object"])
    def test_texts_that_no_database_stores_are_refused(
        self, alice: str, give: Give, group: Group, text: str, place: str, act: str
    ) -> None:
        principal = f"service:{text}" if place == "principal" else alice
        permission = {"permission": text, "role": f"role:{text}"}.get(place, MAKE)
        obj = Group(name="x") if place == "object" else None
        if obj is not None:
            obj.pk = text
        with pytest.raises(Refused) as refusal:
            act_on(act, give, principal, permission, obj)
        assert isinstance(refusal.value, TextRefused)
        assert refusal.value.status == 400


def act_on(act: str, give: Give, principal: str, permission: str, obj: Any) -> None:
    if act == "grant":
        give(principal, permission, obj=obj)
    elif act == "revoke":
        revoke(principal=principal, permission=permission, obj=obj, now=clock.now())
    elif act == "check":
        with authorize(principal, permission, obj, clock=clock.now):
            pass
    else:
        with late_gate(principal, clock=clock.now) as late:
            late.require(permission, obj)
