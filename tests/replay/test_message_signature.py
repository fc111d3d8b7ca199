"""Each rule of RFC 9421 that the verifier enforces, in a test named after its section."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import http_sf
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from django.db import transaction
from django.test import override_settings

from securecore.errors import Misuse, NonceReused
from securecore.replay import SeenNonce, claim_signature
from securecore_client.wire import message_signatures
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Covered, Request, SignatureError, sign, signature_base
from tests.replay.signing import (
    ABSENT,
    ACCEPTED,
    BODY,
    COVERED,
    CREATED,
    ED25519,
    KEYID,
    NONCE,
    NOW,
    P256,
    REQUEST,
    RSA,
    changed,
    refused,
    signed,
    verify,
    with_signature,
)

SECOND = dt.timedelta(seconds=1)
GET = replace(REQUEST, method="GET", fields={})


def test_accepts_a_good_signature() -> None:
    assert verify(signed()) == verify(signed(tag="anything"))
    assert verify(signed()).nonce == NONCE
    assert verify(signed()).created == NOW


def test_accepts_one_without_a_body() -> None:
    verify(signed(COVERED[:3], request=GET), body=b"")


class Test2_1_FieldComponents:
    def test_2_1_field_components_field_names_are_lower_case(self) -> None:
        signature = signed().fields["signature-input"].replace('"content-digest"', '"Content-Digest"')
        assert refused(changed(signed(), signature_input=signature)) == "signature-incomplete"
        request = signed((*COVERED, "x-amount"), fields={"x-amount": "1"})
        upper = request.fields["signature-input"].replace('"x-amount"', '"X-Amount"')
        assert refused(changed(request, signature_input=upper), "lower case") == "signature-invalid"

    def test_2_1_field_components_a_covered_field_must_be_there(self) -> None:
        request = signed((*COVERED, "x-amount"), fields={"x-amount": "1"})
        verify(request)
        assert refused(changed(request, x_amount=ABSENT), "no such field") == "signature-invalid"

    def test_2_1_field_components_a_covered_field_must_be_unchanged(self) -> None:
        request = signed((*COVERED, "x-amount"), fields={"x-amount": "1"})
        assert refused(changed(request, x_amount="2")) == "signature-invalid"

    def test_2_1_field_components_blanks_around_a_value_do_not_count(self) -> None:
        request = signed((*COVERED, "x-amount"), fields={"x-amount": "1"})
        verify(changed(request, x_amount=" \t1  "))

    @pytest.mark.parametrize("parameter", ["sf", "bs", "tr", "req"])
    def test_2_1_field_components_parameters_that_cannot_be_known_here_are_refused(self, parameter: str) -> None:
        plain = signed((*COVERED, "x-amount"), fields={"x-amount": "1"})
        flagged = plain.fields["signature-input"].replace('"x-amount"', f'"x-amount";{parameter}')
        assert refused(changed(plain, signature_input=flagged), "not supported") == "signature-invalid"


class Test2_2_DerivedComponents:
    @pytest.mark.parametrize(("other", "field"), [("PUT", "method"), ("https://api.example/v1/orders?urgent=2", "url")])
    def test_2_2_derived_components_the_request_must_be_the_one_that_was_signed(self, other: str, field: str) -> None:
        assert refused(replace(signed(), **{field: other})) == "signature-invalid"  # type: ignore[arg-type]

    def test_2_2_derived_components_2_2_3_authority_is_lower_case_without_a_default_port(self) -> None:
        for url in ("https://API.example:443/", "https://api.example/"):
            assert replace(REQUEST, url=url).component("@authority", {}) == "api.example"
        assert replace(REQUEST, url="https://api.example:8443/").component("@authority", {}) == "api.example:8443"
        assert replace(REQUEST, url="http://[::1]:80/").component("@authority", {}) == "[::1]"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("@method", "POST"),
            ("@target-uri", "https://api.example/v1/orders?urgent=1"),
            ("@scheme", "https"),
            ("@request-target", "/v1/orders?urgent=1"),
            ("@path", "/v1/orders"),
            ("@query", "?urgent=1"),
        ],
    )
    def test_2_2_derived_components_each_derived_component(self, name: str, value: str) -> None:
        assert REQUEST.component(name, {}) == value

    def test_2_2_derived_components_2_2_6_an_empty_path_is_a_slash_and_2_2_7_an_empty_query_a_question_mark(
        self,
    ) -> None:
        bare = replace(REQUEST, url="https://api.example")
        assert (bare.component("@path", {}), bare.component("@query", {})) == ("/", "?")

    @pytest.mark.parametrize(
        ("name", "value"), [("param", "value"), ("qux", ""), ("baz", "bat%20man"), ("fa%C3%A7ade%22%3A%20", "x")]
    )
    def test_2_2_derived_components_2_2_8_a_query_parameter_is_decoded_and_encoded_again(
        self, name: str, value: str
    ) -> None:
        url = "https://a.example/?param=value&foo=1&foo=2&baz=bat+man&qux=&fa%c3%a7ade%22%3a%20=x"
        assert replace(REQUEST, url=url).component("@query-param", {"name": name}) == value

    @pytest.mark.parametrize("name", ["twice", "none", 7])
    def test_2_2_derived_components_2_2_8_one_that_is_there_twice_or_not_at_all_is_refused(self, name: Any) -> None:
        with pytest.raises(SignatureError, match="occurs once"):
            replace(REQUEST, url="https://a.example/?twice=1&twice=2").component("@query-param", {"name": name})

    @pytest.mark.parametrize("name", ["@status", "@signature-params", "@none", "@"])
    def test_2_2_derived_components_others_are_refused(self, name: str) -> None:
        with_other = signed().fields["signature-input"].replace('"@method"', f'"@method" "{name}"')
        assert refused(changed(signed(), signature_input=with_other)) == "signature-invalid"

    def test_2_2_derived_components_7_5_4_a_field_named_like_one_is_never_taken_for_it(self) -> None:
        request = replace(REQUEST, fields={**REQUEST.fields, "@method": "GET", "@none": "x"})
        assert request.component("@method", {}) == "POST"
        with pytest.raises(SignatureError):
            request.component("@none", {})


class Test2_3_SignatureParameters:
    @pytest.mark.parametrize("name", ["created", "expires", "nonce", "keyid"])
    def test_2_3_signature_parameters_each_that_the_profile_needs(self, name: str) -> None:
        assert refused(signed(**{name: ABSENT}), name) == "signature-incomplete"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("created", str(CREATED)),
            ("created", True),
            ("expires", 1.5),
            ("nonce", 123456789012345),
            ("nonce", b"sixteen bytes or"),
            ("keyid", 1),
            ("alg", True),
            ("tag", 1),
        ],
    )
    def test_2_3_signature_parameters_each_has_its_type(self, name: str, value: Any) -> None:
        assert refused(signed(**{name: value})) == "signature-malformed"

    def test_2_3_signature_parameters_an_unknown_parameter_is_refused(self) -> None:
        """An unknown parameter may restrict the signature in a way that the verifier cannot know."""
        assert refused(signed(audience="somebody else")) == "signature-malformed"

    @pytest.mark.parametrize("nonce", ["short", "x" * 129, "with blanks in it"])
    def test_2_3_signature_parameters_a_nonce_is_16_to_128_visible_characters(self, nonce: str) -> None:
        assert refused(signed(nonce=nonce), "nonce") == "signature-malformed"

    @pytest.mark.parametrize(
        ("created", "expires"), [(CREATED, CREATED), (CREATED, CREATED - 1), (-5, 5), (0, 999_999_999_999_999)]
    )
    def test_2_3_signature_parameters_it_expires_after_it_was_created(self, created: int, expires: int) -> None:
        assert refused(signed(created=created, expires=expires), "expire") == "signature-malformed"


class Test2_5_SignatureBase:
    def test_2_5_signature_base_a_component_is_covered_once(self) -> None:
        doubled = signed().fields["signature-input"].replace('"@method"', '"@method" "@method"')
        assert refused(changed(signed(), signature_input=doubled), "twice") == "signature-invalid"

    def test_2_5_signature_base_the_order_of_components_counts(self) -> None:
        swapped = signed().fields["signature-input"].replace('"@method" "@target-uri"', '"@target-uri" "@method"')
        assert refused(changed(signed(), signature_input=swapped)) == "signature-invalid"

    def test_2_5_signature_base_the_order_of_parameters_counts(self) -> None:
        text = signed().fields["signature-input"]
        created, expires = f";created={CREATED}", f";expires={CREATED + 60}"
        swapped = text.replace(created + expires, expires + created)
        assert swapped != text
        assert refused(changed(signed(), signature_input=swapped)) == "signature-invalid"

    @pytest.mark.parametrize("value", ["1\n2", "1\r2", "1\u00e9"])
    def test_2_5_signature_base_a_value_is_one_line_of_ascii(self, value: str) -> None:
        covered = Covered("sig", (("x", {}),), {})
        with pytest.raises(SignatureError):
            signature_base(covered, replace(REQUEST, fields={"x": value}))


class Test3_2_Verifying:
    @pytest.mark.parametrize("missing", ["signature", "signature_input"])
    def test_3_2_verifying_both_fields_are_needed(self, missing: str) -> None:
        assert refused(changed(signed(), **{missing: ABSENT})) == "signature-missing"
        assert refused(changed(signed(), **{missing: ""})) == "signature-missing"

    def test_3_2_verifying_the_key_is_the_one_that_keyid_names(self) -> None:
        assert refused(signed(keyid="a key of mallory's")) == "signature-key-unknown"
        assert refused(signed(key=ec.generate_private_key(ec.SECP256R1()))) == "signature-invalid"

    @pytest.mark.parametrize("algorithm", ACCEPTED)
    def test_3_2_verifying_step_6_each_algorithm_is_accepted_of_its_key(self, algorithm: str) -> None:
        key = ACCEPTED[algorithm]
        verify(signed(key=key), key=key)
        verify(signed(key=key, alg=algorithm), key=key)

    @pytest.mark.parametrize("algorithm", [*ACCEPTED, "rsa-v1_5-sha256", "hmac-sha256", "none", ""])
    def test_3_2_verifying_step_6_alg_is_the_algorithm_of_the_key(self, algorithm: str) -> None:
        for expected, key in ACCEPTED.items():
            if algorithm != expected:
                assert refused(signed(key=key, alg=algorithm), "alg", key=key) == "signature-invalid"

    def test_3_2_verifying_step_7_one_bit_of_the_signature_matters(self) -> None:
        for key in ACCEPTED.values():
            request = signed(key=key)
            text = request.fields["signature"]
            other = text[:10] + ("A" if text[10] != "A" else "B") + text[11:]
            assert refused(changed(request, signature=other), key=key) == "signature-invalid"

    def test_3_2_verifying_3_3_1_rsa_is_never_pkcs1(self) -> None:
        request = signed(key=RSA)
        covered = Covered("sig", tuple((name, {}) for name in COVERED), {**PARAMETERS})
        value = RSA.sign(signature_base(covered, REQUEST), padding.PKCS1v15(), hashes.SHA256())
        forged = with_signature(REQUEST, request.fields["signature-input"], value)
        assert refused(forged, key=RSA) == "signature-invalid"

    def test_3_2_verifying_3_3_4_ecdsa_is_never_der(self) -> None:
        covered = Covered("sig", tuple((name, {}) for name in COVERED), {**PARAMETERS})
        der = P256.sign(signature_base(covered, REQUEST), ec.ECDSA(hashes.SHA256()))
        assert refused(with_signature(REQUEST, str(covered), der)) == "signature-invalid"

    def test_3_2_verifying_3_3_4_a_number_has_its_leading_zeros(self) -> None:
        text = signed().fields["signature-input"]
        covered = Covered("sig", tuple((name, {}) for name in COVERED), {**PARAMETERS})
        made = (sign(signature_base(covered, REQUEST), P256) for _ in range(10_000))
        value = next(each for each in made if each[32] == 0)
        verify(with_signature(REQUEST, text, value))
        assert refused(with_signature(REQUEST, text, value[:32] + value[33:])) == "signature-invalid"

    @pytest.mark.parametrize("value", [b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65])
    def test_3_2_verifying_3_3_4_numbers_out_of_range_are_refused(self, value: bytes) -> None:
        request = with_signature(REQUEST, signed().fields["signature-input"], value)
        assert refused(request) == "signature-invalid"

    @pytest.mark.parametrize(
        "key",
        [
            rsa.generate_private_key(65537, 1024),
            ec.generate_private_key(ec.SECP521R1()),
            ec.generate_private_key(ec.SECP256K1()),
            dsa.generate_private_key(2048),
        ],
        ids=["rsa-1024", "p-521", "secp256k1", "dsa"],
    )
    def test_3_2_verifying_3_3_other_keys_are_refused(self, key: Any) -> None:
        assert refused(signed(), "A key for signatures", key=key) == "signature-invalid"


class Test3_2_1_ApplicationRequirements:
    @pytest.mark.parametrize("name", COVERED)
    def test_3_2_1_application_requirements_what_must_be_covered(self, name: str) -> None:
        covered = tuple(each for each in COVERED if each != name)
        assert refused(signed(covered), name) == "signature-incomplete"

    @pytest.mark.parametrize("name", ["idempotency-key", "authorization", "content-encoding"])
    def test_3_2_1_application_requirements_what_must_be_covered_when_it_is_there(self, name: str) -> None:
        assert refused(signed(fields={name: "x"}), name) == "signature-incomplete"
        verify(signed((*COVERED, name), fields={name: "x"}))
        assert refused(changed(signed((*COVERED, name), fields={name: "x"}), **{name: "y"})) == "signature-invalid"

    @pytest.mark.parametrize("name", ["content-type", "content-encoding"])
    @pytest.mark.parametrize("sent", ["application/x-www-form-urlencoded", "gzip", "application/json, text/plain", "x"])
    def test_3_2_1_application_requirements_a_body_means_what_it_meant_to_the_signer(
        self, name: str, sent: str
    ) -> None:
        """The digest covers bytes. As another type, or unpacked, the same bytes can be another order."""
        without = signed(COVERED[:4], fields={"content-type": ABSENT})
        verify(without)
        assert refused(changed(without, **{name: sent}), name) == "signature-incomplete"
        assert refused(changed(signed(), **{name: sent})) in ("signature-invalid", "signature-incomplete")
        verify(changed(without, content_type=""))

    def test_3_2_1_application_requirements_one_with_parameters_covers_less(self) -> None:
        covered = ("@method", ("@query-param", {"name": "urgent"}), *COVERED[2:])
        assert refused(signed(covered), "@target-uri") == "signature-incomplete"
        flagged = signed().fields["signature-input"].replace('"@target-uri"', '"@target-uri";req')
        assert refused(changed(signed(), signature_input=flagged), "@target-uri") == "signature-incomplete"

    @pytest.mark.parametrize("offset", [-10, -1, 0, 1, 60])
    def test_3_2_1_application_requirements_created_lies_within_the_window(self, offset: int) -> None:
        verify(signed(expires=CREATED + 600), now=NOW + offset * SECOND)

    @pytest.mark.parametrize("offset", [-3600, -11, 61, 3600])
    def test_3_2_1_application_requirements_stale_and_future_ones_are_refused(self, offset: int) -> None:
        request = signed(expires=CREATED + 6000)
        assert refused(request, "created", now=NOW + offset * SECOND) == "signature-stale"

    def test_3_2_1_application_requirements_expires_ends_it_earlier(self) -> None:
        request = signed(expires=CREATED + 5)
        verify(request, now=NOW + 15 * SECOND)  # the signer's clock may be ten seconds behind
        assert refused(request, "expired", now=NOW + 16 * SECOND) == "signature-stale"

    def test_3_2_1_application_requirements_the_window_is_a_setting(self) -> None:
        with override_settings(SECURECORE={"REPLAY_WINDOW": 5}):
            verify(signed(), now=NOW - 10 * SECOND)
            verify(signed(), now=NOW + 5 * SECOND)
            assert refused(signed(), now=NOW - 11 * SECOND) == "signature-stale"
            assert refused(signed(), now=NOW + 6 * SECOND) == "signature-stale"


PARAMETERS: dict[str, Any] = {"created": CREATED, "expires": CREATED + 60, "nonce": NONCE, "keyid": KEYID}


class Test4_Fields:
    @pytest.mark.parametrize(
        "signature_input",
        [
            "sig",
            "sig=1",
            "sig=:AA==:",
            'sig="@method"',
            "sig=(1 2)",
            "sig=(@method)",
            'sig=("@method"',
            'sig=("@method") trailing',
            "()",
            "é",
            'sig=("@method";name="é")',
            "sig=(" + '"x" ' * 2000 + ")",
            "sig=(" + '"x" ' * 40 + ")",
        ],
    )
    def test_4_fields_what_is_no_signature_input(self, signature_input: str) -> None:
        assert refused(changed(signed(), signature_input=signature_input)) == "signature-malformed"

    @pytest.mark.parametrize(
        "signature", ["sig", "sig=1", 'sig="AA=="', "sig=(:AA==:)", "sig=:A:", "other=:AA==:", ":"]
    )
    def test_4_fields_what_is_no_signature(self, signature: str) -> None:
        assert refused(changed(signed(), signature=signature)) == "signature-malformed"

    def test_4_fields_7_2_5_several_signatures_are_refused(self) -> None:
        fields = signed().fields
        twice = {
            "signature_input": f"{fields['signature-input']}, {fields['signature-input'].replace('sig=', 'own=')}",
            "signature": f"{fields['signature']}, {fields['signature'].replace('sig=', 'own=')}",
        }
        assert refused(changed(signed(), **twice), "exactly one") == "signature-malformed"

    @pytest.mark.parametrize("field", ["signature-input", "signature"])
    def test_4_fields_4_1_a_label_is_unique(self, field: str) -> None:
        value = signed().fields[field]
        doubled = {field.replace("-", "_"): f"{value}, {value}"}
        assert refused(changed(signed(), **doubled), "twice") == "signature-malformed"

    def test_4_fields_a_parameter_that_is_there_twice_is_refused(self) -> None:
        doubled = signed().fields["signature-input"] + f";created={CREATED}"
        assert refused(changed(signed(), signature_input=doubled), "twice") == "signature-malformed"

    def test_4_fields_7_2_6_the_label_means_nothing(self) -> None:
        fields = signed().fields
        renamed = {
            name.replace("-", "_"): fields[name].replace("sig=", "b=") for name in ("signature-input", "signature")
        }
        verify(changed(signed(), **renamed))


class Test7_2_8_Body:
    def test_7_2_8_body_a_changed_body_is_refused(self) -> None:
        assert refused(signed(), body=BODY + b" ") == "content-digest-mismatch"

    def test_7_2_8_body_a_removed_body_is_refused(self) -> None:
        assert refused(signed(), body=b"") == "content-digest-mismatch"

    def test_7_2_8_body_an_added_body_is_refused(self) -> None:
        assert refused(signed(COVERED[:3], request=GET)) == "content-digest-missing"

    def test_7_2_8_body_a_digest_of_another_body_is_refused(self) -> None:
        assert refused(signed(), body=BODY.replace(b"1", b"2")) == "content-digest-mismatch"
        digest = content_digest(BODY.replace(b"1", b"2"))
        assert refused(changed(signed(), content_digest=digest)) == "signature-invalid"


@pytest.mark.django_db
class Test7_2_2_Replay:
    def test_7_2_2_replay_it_is_accepted_once(self) -> None:
        claim_signature(verify(signed()), now=NOW)
        with pytest.raises(NonceReused):
            claim_signature(verify(signed()), now=NOW)

    def test_7_2_2_replay_another_signature_with_the_same_nonce_is_a_replay(self) -> None:
        """ECDSA makes a new signature each time, and an attacker can change its numbers."""
        claim_signature(verify(signed()), now=NOW)
        with pytest.raises(NonceReused):
            claim_signature(verify(signed(expires=CREATED + 30)), now=NOW)

    def test_7_2_2_replay_keys_have_nonces_of_their_own(self) -> None:
        claim_signature(verify(signed()), now=NOW)
        claim_signature(verify(signed(keyid="b", key=ED25519), keyid="b", key=ED25519), now=NOW)

    @pytest.mark.parametrize("offset", [-10, 0, 60])
    def test_7_2_2_replay_it_is_remembered_for_as_long_as_it_is_accepted(self, offset: int) -> None:
        request = signed(expires=CREATED + 600)
        claim_signature(verify(request, now=NOW + offset * SECOND), now=NOW + offset * SECOND)
        last = NOW + 60 * SECOND
        with pytest.raises(NonceReused):
            claim_signature(verify(request, now=last), now=last)
        # A host with a clock ten seconds slow accepts the signature until this instant of this host.
        with pytest.raises(NonceReused):
            claim_signature(verify(request, now=last), now=NOW + 70 * SECOND)
        assert SeenNonce.objects.get().expires_at == NOW + 71 * SECOND

    def test_7_2_2_replay_teaches_when_a_transaction_would_undo_it(self) -> None:
        with pytest.raises(Misuse, match="non_atomic_requests"), transaction.atomic():
            claim_signature(verify(signed()), now=NOW)

    def test_7_2_2_replay_stores_nothing_of_what_was_presented(self) -> None:
        claim_signature(verify(signed()), now=NOW)
        assert NONCE not in str(SeenNonce.objects.values().get())


class TestWork:
    """A stranger chooses the amount of work before the signature turns out to be bad."""

    @pytest.mark.parametrize("parameters", [100, 1_000])
    def test_work_reads_each_parameter_of_the_query_once(
        self, parameters: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quoted = counted(monkeypatch, message_signatures, "quote")
        query = "&".join(f"p{number}={number}" for number in range(parameters))
        components = " ".join(f'"@query-param";name="p{number}"' for number in range(28))
        described = f'sig=("@method" "@target-uri" "@authority" {components});created={CREATED};expires={CREATED + 60}'
        described += f';nonce="{NONCE}";keyid="{KEYID}"'
        request = with_signature(Request("GET", f"https://api.example/?{query}", {}), described, b"x" * 64)
        assert refused(request, body=b"") == "signature-invalid"
        assert len(quoted) == 2 * parameters

    @pytest.mark.parametrize("name", ["signature-input", "signature", "content-digest"])
    def test_work_refuses_a_field_that_is_too_long_without_reading_it(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        longer = ", ".join(f"a{number}=:AAAA:" for number in range(2_000))
        request = signed(fields={"content-digest": longer}) if name == "content-digest" else signed()
        parsed = counted(monkeypatch, http_sf, "parse")
        assert refused(changed(request, **{name: longer})) in ("signature-malformed", "content-digest-malformed")
        assert max(map(len, parsed), default=0) < 9_000


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """Return the list of first arguments of every call of a function from here on."""
    calls: list[Any] = []
    function = getattr(module, name)

    def counting(first: Any, *args: Any, **how: Any) -> Any:
        calls.append(first)
        return function(first, *args, **how)

    monkeypatch.setattr(module, name, counting)
    return calls
