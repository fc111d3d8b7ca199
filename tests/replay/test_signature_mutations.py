"""For every mutated signature the response is a refusal, never a server error."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from securecore.errors import Refused
from tests.replay.signing import changed, signed, verify

GOOD = signed()
TEXT = GOOD.fields["signature-input"]
WORDS = '"@method" "@query-param" "x" ( ) ;name= ;created= ;key= 1 1.5 @1 ?1 :AA==: %"x" = , *a'
PIECES = st.sampled_from([" ", *WORDS.split()])


def survives(**fields: str) -> None:
    with contextlib.suppress(Refused):
        verify(changed(GOOD, **fields))


@given(st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_signature_input(tail: str) -> None:
    survives(signature_input=f"sig={tail}")
    survives(signature_input=TEXT.replace('"@method"', f'"@method" "x"{tail}'))
    survives(signature_input=TEXT + tail)


@given(st.text(max_size=40))
@settings(max_examples=80, deadline=None)
def test_any_text(text: str) -> None:
    survives(signature_input=text)
    survives(signature=text)
    survives(content_digest=text)


@given(st.integers(0, len(TEXT) - 1), st.characters(max_codepoint=255))
@settings(max_examples=150, deadline=None)
def test_one_character_less_or_other_is_refused(position: int, other: str) -> None:
    for text in (TEXT[:position] + TEXT[position + 1 :], TEXT[:position] + other + TEXT[position + 1 :]):
        try:
            verify(changed(GOOD, signature_input=text))
        except Refused:
            continue
        # The signature covers neither its label nor blanks between components.
        assert text == TEXT or position < len("sig=(") or text[position] in ' "'
