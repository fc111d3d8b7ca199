"""`SECURECORE = {...}`: the error texts for mistyped settings."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from securecore import conf

SECRET = "a secret that must not be printed anywhere"
PROXY_KEY = {"keyid": "edge", "public_key": "whatever it is; securecore.E106 reads it"}
KEY = {"kid": "k", "alg": "ES256", "private_key": SECRET}
TOKENS: dict[str, Any] = {"TOKEN_ISSUER": "https://issuer", "TOKEN_AUDIENCE": "https://audience"}


def complaint(given: Any) -> str:
    """Return the error text for these settings."""
    with override_settings(SECURECORE=given), pytest.raises(ImproperlyConfigured) as refusal:
        conf.load()
    message = str(refusal.value)
    assert message.startswith("securecore.E001: ")
    assert message[-1] in ".?"
    return message


def loaded(**given: Any) -> conf.Settings:
    with override_settings(SECURECORE=given):
        return conf.load()


class TestDefaults:
    def test_defaults_are_used_for_what_is_not_given(self, settings: Any) -> None:
        assert loaded() == conf.Settings()
        del settings.SECURECORE
        assert conf.load() == conf.Settings()

    def test_defaults_believe_nobody(self) -> None:
        default = conf.Settings()
        assert (default.TRUSTED_PROXIES, default.PROXY_SECRETS) == ((), ())

    def test_defaults_are_overridden_one_by_one(self) -> None:
        assert loaded(REPLAY_WINDOW=30) == dataclasses.replace(conf.Settings(), REPLAY_WINDOW=30)

    def test_defaults_pass_their_own_validation(self) -> None:
        default = dataclasses.asdict(conf.Settings())
        assert loaded(**default | TOKENS) == dataclasses.replace(conf.Settings(), **TOKENS)


class TestDoor:
    def test_door_follows_override_settings(self) -> None:
        before = conf.settings.REPLAY_WINDOW
        with override_settings(SECURECORE={"REPLAY_WINDOW": before + 1}):
            assert before + 1 == conf.settings.REPLAY_WINDOW
        assert before == conf.settings.REPLAY_WINDOW

    def test_door_gives_nothing_that_is_no_setting(self) -> None:
        with pytest.raises(AttributeError):
            conf.settings.NO_SUCH_SETTING  # type: ignore[attr-defined]  # noqa: B018

    def test_door_refuses_wrong_settings_at_the_first_use(self) -> None:
        with override_settings(SECURECORE={"REPLAY_WINDOW": "60"}), pytest.raises(ImproperlyConfigured):
            assert conf.settings.REPLAY_WINDOW


class TestUnknownName:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("REPLAY_WINDOWS", "REPLAY_WINDOW"),
            ("REPLAYWINDOW", "REPLAY_WINDOW"),
            ("replay_window", "REPLAY_WINDOW"),
            ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
            ("PROXY_SECRET", "PROXY_SECRETS"),
            ("TOKEN_LIFETIME", "ACCESS_TOKEN_LIFETIME"),
            ("SIGNING_KEYS", "TOKEN_SIGNING_KEYS"),
            ("SESSION_IDLE", "SESSION_IDLE_TIMEOUT"),
            ("DATABASES", "DATABASE"),
        ],
    )
    def test_unknown_name_is_answered_with_the_nearest(self, name: str, nearest: str) -> None:
        assert complaint({name: 1}) == f"securecore.E001: SECURECORE has no option {name!r}. Did you mean {nearest!r}?"

    @pytest.mark.parametrize("name", ["", "x", "ZZZZZZ", 1, None])
    def test_unknown_name_like_nothing_is_answered_with_all(self, name: Any) -> None:
        message = complaint({name: 1})
        assert not [field.name for field in dataclasses.fields(conf.Settings) if field.name not in message]

    @pytest.mark.parametrize("given", [[], None, "REPLAY_WINDOW=60", {"REPLAY_WINDOW"}, 1])
    def test_unknown_name_needs_a_dictionary(self, given: Any) -> None:
        assert "dictionary" in complaint(given)


class TestWrongType:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("DJANGO_PERMISSIONS", "yes", "bool"),
            ("DJANGO_PERMISSIONS", 1, "bool"),
            ("DJANGO_PERMISSIONS", None, "bool"),
            ("TRUSTED_PROXIES", "10.0.0.0/8", "list"),
            ("TRUSTED_PROXIES", {"10.0.0.0/8"}, "list"),
            ("PROXY_SECRETS", SECRET, "list"),
            ("PROXY_SECRETS", None, "list"),
            ("REPLAY_WINDOW", "60", "int"),
            ("REPLAY_WINDOW", 60.0, "int"),
            ("REPLAY_WINDOW", True, "int"),
            ("REPLAY_WINDOW", None, "int"),
            ("ACCESS_TOKEN_LIFETIME", "5m", "int"),
            ("LOCK_TIMEOUT", "2", "float"),
            ("LOCK_TIMEOUT", True, "float"),
            ("TOKEN_ISSUER", None, "str"),
            ("TOKEN_ISSUER", b"https://issuer", "str"),
            ("TOKEN_SIGNING_KEYS", KEY, "list"),
            ("TOKEN_SIGNING_KEYS", SECRET, "list"),
            ("DATABASE", None, "str"),
        ],
    )
    def test_wrong_type_is_answered_with_the_right_one(self, name: str, value: Any, said: str) -> None:
        message = complaint({name: value})
        assert repr(name) in message
        assert said in message
        assert SECRET not in message

    @pytest.mark.parametrize(
        "name", [field.name for field in dataclasses.fields(conf.Settings) if type(field.default) in (int, float)]
    )
    @pytest.mark.parametrize("value", [0, -1])
    def test_wrong_type_of_a_number_includes_what_is_not_positive(self, name: str, value: int) -> None:
        if name in ("LEASE_MS", "PENDING_CERTIFICATES") and value == 0:
            assert getattr(loaded(**{name: 0}), name) == 0
        else:
            assert repr(name) in complaint({name: value})

    @pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf"), float("-inf")])
    def test_wrong_type_of_a_number_includes_what_is_no_duration(self, value: float) -> None:
        assert "LOCK_TIMEOUT" in complaint({"LOCK_TIMEOUT": value})

    def test_wrong_type_is_not_an_integer_for_a_float(self) -> None:
        assert loaded(LOCK_TIMEOUT=3).LOCK_TIMEOUT == 3.0

    def test_wrong_type_is_not_a_tuple_for_a_list(self) -> None:
        given = loaded(TRUSTED_PROXIES=("10.0.0.0/8",), PROXY_SECRETS=["x" * 32])
        assert (given.TRUSTED_PROXIES, given.PROXY_SECRETS) == (("10.0.0.0/8",), ("x" * 32,))


class TestProxies:
    @pytest.mark.parametrize(
        "network",
        ["", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0", "*", None, 1, b"\x0a\0\0\1", "10.0.0.0/8 "],
    )
    def test_proxies_are_networks(self, network: Any) -> None:
        assert repr(network) in complaint({"TRUSTED_PROXIES": [network], "PROXY_SECRETS": ["x" * 32]})

    @pytest.mark.parametrize("network", ["10.0.0.0/8", "10.0.0.7", "2001:db8::/32", "::1"])
    def test_proxies_may_be_of_both_kinds(self, network: str) -> None:
        given = loaded(TRUSTED_PROXIES=[network], PROXY_SECRETS=["x" * 32])
        assert (network,) == given.TRUSTED_PROXIES

    def test_proxies_need_a_secret(self) -> None:
        assert "PROXY_SECRETS" in complaint({"TRUSTED_PROXIES": ["10.0.0.0/8"]})
        assert "PROXY_SECRETS" in complaint({"TRUSTED_PROXIES": ["10.0.0.0/8"], "PROXY_SECRETS": []})

    def test_proxies_on_a_unix_socket_need_no_secret(self) -> None:
        assert loaded(TRUSTED_PROXIES=["unix:"]).TRUSTED_PROXIES == ("unix:",)
        assert "PROXY_SECRETS" in complaint({"TRUSTED_PROXIES": ["unix:", "10.0.0.0/8"]})

    def test_proxies_may_sign_in_place_of_a_secret(self) -> None:
        given = {"PROXY_SIGNATURE_KEYS": [PROXY_KEY], "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        assert loaded(**given).PROXY_SIGNATURE_KEYS == (PROXY_KEY,)

    @pytest.mark.parametrize(
        "key", [None, SECRET, {}, {"keyid": "a"}, {**PROXY_KEY, "alg": "x"}, {**PROXY_KEY, "keyid": 1}]
    )
    def test_proxies_sign_with_keys_that_have_names(self, key: Any) -> None:
        assert "'keyid' and 'public_key'" in complaint({"PROXY_SIGNATURE_KEYS": [key]})

    def test_proxies_sign_with_one_key_of_a_name(self) -> None:
        assert "one 'keyid' to two" in complaint({"PROXY_SIGNATURE_KEYS": [PROXY_KEY, PROXY_KEY]})

    def test_proxies_that_are_none_sign_nothing(self) -> None:
        given = {"CERTIFICATE_SOURCE": "gunicorn", "PROXY_SIGNATURE_KEYS": [PROXY_KEY]}
        assert "has no effect where gunicorn" in complaint(given)

    @pytest.mark.parametrize("secret", ["", "short", "x" * 31, None, 1, b"x" * 32])
    def test_proxies_need_a_good_secret(self, secret: Any) -> None:
        message = complaint({"PROXY_SECRETS": ["x" * 32, secret]})
        assert "32" in message
        assert not secret or len(str(secret)) < 5 or str(secret) not in message


class TestSigningKeys:
    @pytest.mark.parametrize(
        "key",
        [
            None,
            SECRET,
            [],
            {},
            {"kid": "k", "alg": "ES256"},
            {"kid": "k", "alg": "ES256", "key": SECRET},
            KEY | {"use": "sig"},
            KEY | {"kid": None},
            KEY | {"kid": 1},
            KEY | {"kid": ["k"]},
            KEY | {"private_key": SECRET.encode()},
            KEY | {"private_key": None},
            KEY | {"alg": "none"},
            KEY | {"alg": "ES512"},
            KEY | {"alg": "es256"},
            KEY | {"alg": None},
            KEY | {"alg": ["ES256"]},
        ],
    )
    def test_signing_keys_have_a_name_an_algorithm_and_a_key(self, key: Any) -> None:
        message = complaint({"TOKEN_SIGNING_KEYS": [key], **TOKENS})
        assert "TOKEN_SIGNING_KEYS" in message
        assert SECRET not in message

    @pytest.mark.parametrize("algorithm", conf.SIGNING_ALGORITHMS)
    def test_signing_keys_have_one_of_few_algorithms(self, algorithm: str) -> None:
        assert loaded(TOKEN_SIGNING_KEYS=[KEY | {"alg": algorithm}], **TOKENS).TOKEN_SIGNING_KEYS

    def test_signing_keys_have_names_of_their_own(self) -> None:
        message = complaint({"TOKEN_SIGNING_KEYS": [KEY, KEY | {"alg": "RS256"}], **TOKENS})
        assert "kid" in message
        assert SECRET not in message

    @pytest.mark.parametrize("missing", TOKENS)
    def test_signing_keys_need_issuer_and_audience(self, missing: str) -> None:
        message = complaint({"TOKEN_SIGNING_KEYS": [KEY], **TOKENS, missing: ""})
        assert re.search(r"TOKEN_ISSUER and TOKEN_AUDIENCE", message)
        assert SECRET not in message
