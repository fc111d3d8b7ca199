from __future__ import annotations

import pytest

from securecore.errors import IdempotencyKeyMalformed, IdempotencyKeyMissing
from securecore.idempotency import fingerprint_of, is_final, parse_key


class TestParseKey:
    @pytest.mark.parametrize("presented", [None, ""])
    def test_parse_key_refuses_a_missing_one(self, presented: str | None) -> None:
        with pytest.raises(IdempotencyKeyMissing):
            parse_key(presented)

    @pytest.mark.parametrize(
        ("presented", "key"),
        [
            ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("k", "k"),
            ("-Y2Fubm90_", "-Y2Fubm90_"),  # base64url, as secrets.token_urlsafe() makes them
            ("_Y2Fubm90-", "_Y2Fubm90-"),
            ('"two words, and a comma"', "two words, and a comma"),
            (r'"a \"quote\" and a \\"', 'a "quote" and a \\'),
            ("x" * 255, "x" * 255),
        ],
    )
    def test_parse_key_takes_the_quoted_and_the_bare_spelling_for_one_key(self, presented: str, key: str) -> None:
        assert parse_key(presented) == key

    @pytest.mark.parametrize(
        "presented",
        [
            "a,a",
            '"a","a"',
            '"open',
            'open"',
            '""',
            r'"bad \escape"',
            "x" * 256,
            "tab\tbed",
            "naïve",
            '"naïve"',
            "\x00",
            " ",
        ],
    )
    def test_parse_key_refuses_anything_else(self, presented: str) -> None:
        with pytest.raises(IdempotencyKeyMalformed):
            parse_key(presented)


class TestFingerprint:
    def test_fingerprint_is_of_the_parts(self) -> None:
        assert fingerprint_of(["a", "b"]) == fingerprint_of([b"a", "b"])

    @pytest.mark.parametrize("parts", [["a"], ["ab"], ["a", "b", ""], ["", "ab"], ["b", "a"], []])
    def test_fingerprint_tells_apart_how_they_are_divided(self, parts: list[str]) -> None:
        assert fingerprint_of(["a", "b"]) != fingerprint_of(parts)


@pytest.mark.parametrize(
    ("status", "final"),
    [(200, True), (201, True), (204, True), (302, True), (400, True), (404, True), (410, True), (422, True)]
    + [(status, False) for status in (401, 403, 408, 409, 425, 429, 500, 502, 503)],
)
def test_only_what_no_retry_would_change_is_final(status: int, final: bool) -> None:
    assert is_final(status) is final
