"""draft-ietf-httpapi-idempotency-key-header-07, clause by clause, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from securecore.errors import IdempotencyKeyMalformed
from securecore.idempotency import IdempotencyRecord, parse_key
from tests.support.tree import ROOT
from tests.support.vectors import load
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.idempotency.views"), pytest.mark.django_db(transaction=True)]

URL = "/class/rest"
PROBLEM = "application/problem+json"

#: Files of the published structured-field vectors with Items, the type of this field.
ITEM_FILES = ["boolean", "binary", "date", "display-string", "examples", "item", "number", "number-generated", "token"]
ITEM_FILES += ["string", "string-generated"]


def _items(name: str) -> list[dict[str, Any]]:
    vectors = load(f"structured-field-tests/{name}.json")
    return [vector for vector in vectors if vector["header_type"] == "item"]


def _parsed(vector: dict[str, Any]) -> str | None:
    """Return the value of the field's raw lines, joined as RFC 9110 section 5.3 says."""
    try:
        return parse_key(", ".join(vector["raw"]) or " ")
    except IdempotencyKeyMalformed:
        return None


class TestSection2_1Syntax:
    @pytest.mark.parametrize("name", ITEM_FILES)
    def test_section2_1_syntax_is_an_item_whose_value_is_a_string(self, name: str) -> None:
        """Every valid String of 1 to 255 characters gives its value; every broken one is refused."""
        vectors = _items(name)
        assert vectors
        for vector in vectors:
            value = None if vector.get("must_fail") else vector["expected"][0]
            if isinstance(value, str):
                assert _parsed(vector) == (value if 1 <= len(value) <= 255 else None), vector["name"]
            elif "".join(vector["raw"]).lstrip(" ").startswith('"') and not vector.get("can_fail"):
                assert _parsed(vector) is None, vector["name"]

    @pytest.mark.parametrize("name", ["boolean", "binary", "date", "display-string"])
    def test_section2_1_syntax_no_other_kind_of_item_is_a_key(self, name: str) -> None:
        for vector in _items(name):
            assert _parsed(vector) is None, vector["name"]

    def test_section2_1_syntax_a_token_or_a_number_is_the_bare_key_that_clients_send(self) -> None:
        """Beyond the draft, as Stripe, Adyen and PayPal accept it: quoted or not, it is one key."""
        for vector in [*_items("token"), *_items("number")]:
            if not vector.get("must_fail") and vector["raw"][0][:1].isalnum():
                raw = vector["raw"][0].strip()
                assert _parsed(vector) == raw == parse_key(f'"{raw}"'), vector["name"]

    @pytest.mark.parametrize("parameters", [";a=1", "; a", ';a="x;y";b=?1;c=:aGk=:;d=tok/en;e=-1.5;f=@1'])
    def test_section2_1_syntax_parameters_of_the_item_mean_nothing(self, parameters: str) -> None:
        assert parse_key(f'"k"{parameters}') == "k"

    @pytest.mark.parametrize("parameters", [";", ";A=1", "a=1", ";a=", ";a=1,", ';a="open'])
    def test_section2_1_syntax_broken_parameters_break_the_item(self, parameters: str) -> None:
        with pytest.raises(IdempotencyKeyMalformed):
            parse_key(f'"k"{parameters}')

    def test_section2_1_syntax_two_fields_in_one_request_are_refused(self, post: Any) -> None:
        for joined in ('"a", "b"', "a,b", '"a","a"'):
            assert post(URL, key=joined).json()["code"] == "idempotency-key-malformed"
        assert effects() == 0


class TestSection2_2Uniqueness:
    def test_section2_2_uniqueness_another_payload_needs_another_key(self, post: Any) -> None:
        assert post(URL, {"a": 1}).status_code == 201
        assert post(URL, {"a": 2}).status_code == 422
        assert post(URL, {"a": 2}, key="k-2").status_code == 201

    def test_section2_2_uniqueness_a_uuid_is_a_key(self, post: Any) -> None:
        assert post(URL, key='"8e03978e-40d5-43e8-bc93-6894a57f9324"').status_code == 201


class TestSection2_3ValidityAndExpiry:
    def test_section2_3_validity_and_expiry_the_policy_of_expiry_is_published(self) -> None:
        assert "| `retention` | 86400, a day |" in Path(ROOT / "docs" / "idempotency.md").read_text()

    def test_section2_3_validity_and_expiry_a_key_that_expired_is_a_new_one(self, post: Any, now: Any) -> None:
        first = post(URL)
        IdempotencyRecord.objects.update(expires_at=now)
        second = post(URL)
        assert (first.status_code, second.status_code) == (201, 201)
        assert second.content != first.content


class TestSection2_4Fingerprint:
    def test_section2_4_fingerprint_is_a_checksum_of_the_entire_payload(self, post: Any) -> None:
        post(URL, {"a": 1})
        assert len(bytes(IdempotencyRecord.objects.get().fingerprint)) == 32
        assert post(f"{URL}?b=1", {"a": 1}).status_code == 422


class TestSection2_6EnforcementScenarios:
    def test_section2_6_enforcement_scenarios_the_first_request_is_processed_normally(self, post: Any) -> None:
        first = post(URL)
        assert first.status_code == 201
        assert "Idempotency-Replayed" not in first

    @pytest.mark.parametrize("body", [{}, {"outcome": "refused"}])
    def test_section2_6_enforcement_scenarios_a_retry_gets_the_result_success_or_error(
        self, post: Any, body: Any
    ) -> None:
        first, retry = post(URL, body), post(URL, body)
        assert (retry.status_code, retry.content) == (first.status_code, first.content)


class TestSection2_7ErrorScenarios:
    """The 409 for a request that is still running is tested in tests/races and test_lease.py."""

    def test_section2_7_error_scenarios_a_missing_key_is_400(self, post: Any) -> None:
        self._expect_problem(post(URL, key=None), 400)

    def test_section2_7_error_scenarios_a_reused_key_is_422(self, post: Any) -> None:
        post(URL, {"a": 1})
        self._expect_problem(post(URL, {"a": 2}), 422)

    def _expect_problem(self, response: Any, status: int) -> None:
        assert (response.status_code, response["Content-Type"]) == (status, PROBLEM)
        problem = json.loads(response.content)
        assert problem["status"] == status
        assert problem["type"].startswith("urn:securecore:problem:idempotency-key-")


class TestSection5SecurityConsiderations:
    @pytest.mark.parametrize("key", ["'; DROP TABLE--", "../../etc/passwd", "a b", "{}", "é"])
    def test_section5_security_considerations_the_key_is_validated_before_any_request_is_processed(
        self, post: Any, key: str
    ) -> None:
        assert post(URL, key=key).json()["code"] == "idempotency-key-malformed"
        assert effects() == 0

    def test_section5_security_considerations_the_lookup_key_is_composite(self, post: Any) -> None:
        """A guessed key of another caller has no record: the principal, the method and the route are part of the
        lookup.
        """
        answers = [post(url, name=name).content for url in (URL, "/class/plain") for name in ("alice", "bob")]
        assert len(set(answers)) == 4
