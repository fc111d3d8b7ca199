"""Content-Digest: the rules and the printed examples of RFC 9530."""

from __future__ import annotations

import hashlib

import http_sf
import pytest

from securecore.errors import ContentDigestMalformed, ContentDigestMismatch
from securecore.replay.content_digest import check_content_digest
from securecore_client.wire.content_digest import content_digest

BODY = b'{"hello": "world"}'
#: Digests of BODY with a line feed.
SHA_256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
SHA_512 = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"


class TestPrintedExamples:
    """RFC 9530 prints its bodies with a line feed at the end; RFC 9421 prints the same text without one."""

    @pytest.mark.parametrize("presented", [SHA_256, SHA_512, f"{SHA_256}, {SHA_512}"])
    def test_printed_examples_appendix_b_1_and_d(self, presented: str) -> None:
        check_content_digest(presented, BODY + b"\n")

    def test_printed_examples_rfc_9421_section_7_2_8(self) -> None:
        assert content_digest(BODY) == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"


class TestSection2:
    @pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
    @pytest.mark.parametrize("body", [b"", b"\0\xff", BODY])
    def test_section2_accepts_what_it_makes(self, algorithm: str, body: bytes) -> None:
        check_content_digest(content_digest(body, algorithm), body)

    @pytest.mark.parametrize("presented", [SHA_256, SHA_512])
    def test_section2_refuses_another_body(self, presented: str) -> None:
        with pytest.raises(ContentDigestMismatch):
            check_content_digest(presented, BODY)

    def test_section2_each_digest_that_is_known_must_fit(self) -> None:
        with pytest.raises(ContentDigestMismatch):
            check_content_digest(f"{content_digest(BODY)}, {SHA_512}", BODY)

    def test_section2_unknown_algorithms_are_ignored(self) -> None:
        check_content_digest(f"unknown=:AA==:, {content_digest(BODY)}", BODY)

    @pytest.mark.parametrize(
        "presented",
        [
            "sha-256",
            "sha-256=1",
            'sha-256="X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="',
            "sha-256=(:AA==:)",
            "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
            "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
            ",",
            "",
            "é",
        ],
    )
    def test_section2_refuses_what_is_no_dictionary_of_byte_sequences(self, presented: str) -> None:
        with pytest.raises(ContentDigestMalformed):
            check_content_digest(presented, BODY)

    def test_section2_refuses_an_algorithm_that_is_there_twice(self) -> None:
        with pytest.raises(ContentDigestMalformed):
            check_content_digest(f"{SHA_256}, {content_digest(BODY)}", BODY)


class TestSection5:
    @pytest.mark.parametrize("algorithm", ["md5", "sha"])
    def test_section5_broken_algorithms_do_not_count(self, algorithm: str) -> None:
        digest = hashlib.new(algorithm.replace("sha", "sha1"), BODY).digest()
        with pytest.raises(ContentDigestMalformed, match="sha-256 or sha-512"):
            check_content_digest(http_sf.ser({algorithm: digest}), BODY)
