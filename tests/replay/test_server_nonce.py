"""RFC 9449 sections 8 and 9: nonces that the server recognizes without storing them."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.test import override_settings
from django.utils.crypto import salted_hmac

from securecore.replay.server_nonce import WINDOW, current, is_valid
from securecore_client.wire.thumbprints import base64url

#: The first instant of a window.
START = dt.datetime(2026, 5, 4, 12, 0, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def test_is_written_in_the_characters_of_section_8_1() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", current(START))


def test_is_the_same_on_every_host_for_a_window() -> None:
    assert current(START) == current(START + (WINDOW - 1) * SECOND)
    assert current(START) != current(START + WINDOW * SECOND)
    assert current(START) != current(START - SECOND)


@pytest.mark.parametrize("age", [0, 1, WINDOW - 1, WINDOW, 2 * WINDOW - 1])
def test_is_accepted_in_its_window_and_in_the_next(age: int) -> None:
    assert is_valid(current(START), START + age * SECOND)


@pytest.mark.parametrize("age", [-WINDOW, -11, 2 * WINDOW, 2 * WINDOW + 1, 86_400])
def test_is_refused_outside_of_them(age: int) -> None:
    assert not is_valid(current(START), START + age * SECOND)


def test_of_a_host_with_a_fast_clock_is_accepted() -> None:
    assert is_valid(current(START), START - 10 * SECOND)


@pytest.mark.parametrize("presented", ["", "x", "x" * 43, "é" * 43, "\ud800", "\0", "x" * 10_000, current(START) + "="])
def test_refuses_what_is_none_of_ours(presented: str) -> None:
    assert not is_valid(presented, START)


def test_depends_on_the_secret_key() -> None:
    ours = current(START)
    with override_settings(SECRET_KEY="another"):
        assert current(START) != ours
        assert not is_valid(ours, START)


def test_survives_a_rotation_of_the_secret_key() -> None:
    ours = current(START)
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["older", "for the tests only"]):
        assert is_valid(ours, START)
        assert current(START) != ours


def test_is_no_other_signature_of_the_same_key() -> None:
    window = str(int(START.timestamp()) // WINDOW)
    assert base64url(salted_hmac("", window, algorithm="sha256").digest()) != current(START)
