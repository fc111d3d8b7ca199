"""Every token that simplejwt refuses by its settings, securecore refuses too: the same tokens, beside the package
itself.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.exceptions import APIException
from rest_framework.test import APIRequestFactory
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import DEFAULTS, api_settings
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from securecore import clock
from securecore.checks.tokens import e303_simplejwt
from securecore.revocation import revoke_user_tokens
from securecore.testing import MutualTLSClient
from securecore.tokens import simplejwt_settings
from tests.tokens.calls import get
from tests.tokens.test_simplejwt import KEY, resigned

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]


class Both:
    """One project with simplejwt and securecore, and one set of settings that both read."""

    def __init__(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.monkeypatch = settings, monkeypatch
        self.set(SIGNING_KEY=KEY)

    def set(self, **theirs: Any) -> None:
        """Set these settings of simplejwt, in the package and in ``SIMPLE_JWT``."""
        self.settings.SIMPLE_JWT = {**getattr(self.settings, "SIMPLE_JWT", {}), **theirs}
        for name, value in theirs.items():
            self.monkeypatch.setattr(api_settings, name, value, raising=False)
            if hasattr(token_backend, name.lower()):
                self.monkeypatch.setattr(token_backend, name.lower(), value)
        self.monkeypatch.setattr(token_backend, "prepared_signing_key", KEY, raising=False)

    def theirs(self, token: str) -> str:
        request: Any = APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}")
        try:
            authenticated = JWTAuthentication().authenticate(request)
        except APIException:
            return "refused"
        return authenticated[0].get_username() if authenticated else "refused"

    def ours(self, token: str) -> str:
        response = get(MutualTLSClient(), token, "/migration")
        assert response.status_code in (200, 401), response.content
        return str(response.json()["user"]) if response.status_code == 200 else "refused"

    def judge(self, token: str) -> str:
        """Return the verdicts of both about a token."""
        theirs, ours = self.theirs(token), self.ours(token)
        assert ours in (theirs, "refused"), (theirs, ours)
        assert theirs == ours, f"simplejwt says {theirs}, we say {ours}"
        return ours


@pytest.fixture
def both(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Both:
    return Both(settings, monkeypatch)


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password="x")


@pytest.fixture
def alice(root: User) -> User:
    """A user with the administrator's primary key as name."""
    return User.objects.create_user(str(root.pk), email="alice@example.org", password="secret")


def issued(user: User, **changed: Any) -> str:
    return resigned(str(AccessToken.for_user(user)), **changed)


class TestUser:
    @pytest.mark.parametrize("field", ["username", "email"])
    def test_user_is_found_by_their_field(self, both: Both, alice: User, root: User, field: str) -> None:
        """M13: alice's token, which names her by a text, opened the administrator's account."""
        both.set(USER_ID_FIELD=field)
        assert both.judge(issued(alice)) == alice.username
        assert both.judge(issued(alice, user_id="nobody")) == "refused"
        assert both.judge(issued(alice, user_id=str(root.pk))) in (alice.username, "refused")

    @pytest.mark.parametrize("field", ["id", "pk"])
    def test_user_by_primary_key_costs_no_statement_more(
        self, both: Both, alice: User, field: str, django_assert_num_queries: Any
    ) -> None:
        both.set(USER_ID_FIELD=field)
        token = issued(alice)
        with django_assert_num_queries(1):
            assert both.ours(token) == alice.username

    @pytest.mark.parametrize("value", ["\0", [], {}, 10**30, None, True], ids=repr)
    def test_user_of_nonsense_is_refused(self, both: Both, alice: User, value: Any) -> None:
        both.set(USER_ID_FIELD="username")
        assert both.ours(issued(alice, user_id=value)) == "refused"

    def test_user_of_two_is_refused(self, both: Both, alice: User, root: User) -> None:
        both.set(USER_ID_FIELD="email")
        User.objects.filter(pk=root.pk).update(email=alice.email)
        assert both.ours(issued(alice)) == "refused"

    def test_can_be_revoked_by_user(self, both: Both, alice: User) -> None:
        """Tokens that name alice by her e-mail address are revoked with her."""
        both.set(USER_ID_FIELD="email")
        token = issued(alice)
        assert both.ours(token) == alice.username
        revoke_user_tokens(alice)
        assert both.ours(token) == "refused"

    def test_user_that_their_rule_refuses_is_refused(self, both: Both, alice: User, root: User) -> None:
        both.set(USER_AUTHENTICATION_RULE=lambda user: user.is_superuser)
        assert both.ours(issued(alice)) == "refused"
        assert both.ours(issued(root)) == "root"
        both.set(USER_AUTHENTICATION_RULE="nowhere.at_all")
        assert both.ours(issued(root)) == "refused"
        assert "USER_AUTHENTICATION_RULE" in e303_simplejwt()[0].msg

    def test_user_that_is_inactive_is_refused(self, both: Both, alice: User) -> None:
        token = issued(alice)
        User.objects.update(is_active=False)
        assert both.judge(token) == "refused"


class TestClaims:
    @pytest.mark.parametrize(
        ("wanted", "said", "accepted"),
        [
            ("here", "here", True),
            ("here", "elsewhere", False),
            ("here", None, False),
            ("here", ["elsewhere", "here"], True),
            (["here", "there"], "there", True),
            (["here", "there"], "elsewhere", False),
            (None, "elsewhere", True),
        ],
    )
    def test_claims_of_the_audience(self, both: Both, alice: User, wanted: Any, said: Any, accepted: bool) -> None:
        both.set(AUDIENCE=wanted)
        assert both.judge(issued(alice, aud=said)) == (alice.username if accepted else "refused")

    @pytest.mark.parametrize(
        ("wanted", "said", "accepted"),
        [("us", "us", True), ("us", "them", False), ("us", None, False), (None, "them", True)],
    )
    def test_claims_of_the_issuer(self, both: Both, alice: User, wanted: Any, said: Any, accepted: bool) -> None:
        both.set(ISSUER=wanted)
        assert both.judge(issued(alice, iss=said)) == (alice.username if accepted else "refused")

    def test_claims_of_the_password(self, both: Both, alice: User) -> None:
        both.set(CHECK_REVOKE_TOKEN=True)
        token = issued(alice)
        assert both.judge(token) == alice.username
        assert both.judge(issued(alice, hash_password=None)) == "refused"
        assert both.judge(issued(alice, hash_password=7)) == "refused"
        alice.set_password("another")
        alice.save()
        assert both.judge(token) == "refused"
        both.set(CHECK_REVOKE_TOKEN=False)
        assert both.judge(token) == alice.username

    def test_claims_of_the_password_under_another_name(self, both: Both, alice: User) -> None:
        both.set(CHECK_REVOKE_TOKEN=True, REVOKE_TOKEN_CLAIM="pw")
        assert both.judge(issued(alice)) == alice.username
        both.set(REVOKE_TOKEN_CLAIM="hash_password")
        assert both.judge(resigned(str(AccessToken.for_user(alice)), hash_password=None)) == "refused"

    def test_claims_of_type_and_name_are_called_as_they_say(self, both: Both, alice: User) -> None:
        usual = issued(alice)
        both.set(TOKEN_TYPE_CLAIM="kind", JTI_CLAIM="id")
        assert both.judge(issued(alice)) == alice.username
        assert both.judge(issued(alice, kind="refresh")) == "refused"
        assert both.judge(usual) == "refused"

    def test_claims_of_no_type_is_still_no_refresh_token(self, both: Both, alice: User) -> None:
        both.set(TOKEN_TYPE_CLAIM=None)
        assert both.judge(str(AccessToken.for_user(alice))) == alice.username
        assert both.ours(str(RefreshToken.for_user(alice))) == "refused"

    def test_claims_of_a_blacklisted_refresh_token_says_nothing_of_access(self, both: Both, alice: User) -> None:
        """simplejwt's blacklist lists refresh and sliding tokens only."""
        assert both.judge(str(RefreshToken.for_user(alice).access_token)) == alice.username


class TestTimes:
    @pytest.mark.parametrize("leeway", [0, None, 5, 5.0, dt.timedelta(seconds=5)], ids=repr)
    def test_times_are_judged_with_their_leeway(self, both: Both, alice: User, leeway: Any) -> None:
        both.set(LEEWAY=leeway)
        long = bool(leeway)
        # Seconds from the making of each token: simplejwt reads the clock of the machine, and each verdict
        # stays the same for at least 3 s.
        for claim, offset, accepted in (
            ("exp", 60, True),
            ("exp", -1, long),
            ("exp", -1.5, long),
            ("exp", -8, False),
            ("nbf", 4, long),
            ("nbf", 60, False),
            ("iat", 60, False),
        ):
            token = issued(alice, **{claim: int(clock.now().timestamp()) + offset})
            assert both.judge(token) == (alice.username if accepted else "refused"), (claim, offset)

    def test_times_are_not_judged_with_more_than_our_skew(self, both: Both, alice: User) -> None:
        """securecore stores a revocation until ``clock.SKEW`` after the token's end."""
        both.set(LEEWAY=3_600)
        assert both.ours(issued(alice, exp=int(clock.now().timestamp()) - 15)) == "refused"


class TestProblem:
    @pytest.mark.parametrize(
        "theirs",
        [
            {"SIGNING_KEY": ""},
            {"ALGORITHM": "RS256"},
            {"ALGORITHM": "RS256", "JWK_URL": "https://keys.example"},
            {"AUTH_HEADER_TYPES": ("JWT",)},
            {"AUTH_HEADER_TYPES": "JWT"},
            {"AUTH_HEADER_NAME": "HTTP_X_TOKEN"},
            {"AUTH_TOKEN_CLASSES": ("rest_framework_simplejwt.tokens.SlidingToken",)},
            {"JTI_CLAIM": None},
        ],
        ids=repr,
    )
    def test_problem_is_found_at_start_and_accepts_nothing(
        self, both: Both, alice: User, settings: Any, theirs: Any
    ) -> None:
        token = issued(alice)
        assert both.ours(token) == alice.username
        assert e303_simplejwt() == []
        settings.SIMPLE_JWT = {"SIGNING_KEY": KEY, **theirs}
        assert both.ours(token) == "refused"
        assert {error.id for error in e303_simplejwt()} == {"securecore.E303"}

    def test_problem_of_keys_from_an_address(self, both: Both, settings: Any) -> None:
        settings.SIMPLE_JWT = {"SIGNING_KEY": KEY, "JWK_URL": "https://keys.example"}
        assert e303_simplejwt() == []
        settings.SIMPLE_JWT = {"ALGORITHM": "RS256", "VERIFYING_KEY": "a key", "JWK_URL": "https://keys.example"}
        (error,) = e303_simplejwt()
        assert "JWK_URL" in error.msg

    def test_problem_is_none_with_the_classes_themselves(self, both: Both, alice: User, settings: Any) -> None:
        settings.SIMPLE_JWT = {
            "SIGNING_KEY": KEY,
            "AUTH_TOKEN_CLASSES": [AccessToken],
            "AUTH_HEADER_TYPES": ["JWT", "Bearer"],
        }
        assert both.ours(issued(alice)) == alice.username

    def test_problem_without_their_settings_is_the_missing_key(self, both: Both, alice: User, settings: Any) -> None:
        token = issued(alice)
        del settings.SIMPLE_JWT
        assert both.ours(token) == "refused"
        (error,) = e303_simplejwt()
        assert "SIGNING_KEY" in error.msg

    @pytest.mark.urls("tests.urls")
    def test_problem_concerns_projects_that_use_the_class(self, settings: Any) -> None:
        """A project may use simplejwt's own class, with settings that securecore could not follow."""
        settings.SIMPLE_JWT = {"AUTH_HEADER_TYPES": ("JWT",)}
        assert e303_simplejwt() == []


def test_the_defaults_are_those_of_the_package() -> None:
    ours = simplejwt_settings.SimpleJWT()
    left_to_us = {"SIGNING_KEY"}
    for name in vars(ours).keys() - left_to_us:
        assert getattr(ours, name) == DEFAULTS[name], name


def test_every_setting_of_the_package_is_known() -> None:
    """A new setting of the package may make it refuse a token that securecore accepts."""
    harmless = {
        *("REFRESH_TOKEN_LIFETIME", "ROTATE_REFRESH_TOKENS", "BLACKLIST_AFTER_ROTATION"),
        *("UPDATE_LAST_LOGIN", "JSON_ENCODER", "TOKEN_USER_CLASS", "SLIDING_TOKEN_LIFETIME"),
        *("SLIDING_TOKEN_REFRESH_EXP_CLAIM", "SLIDING_TOKEN_REFRESH_LIFETIME"),
        "CHECK_USER_IS_ACTIVE",  # securecore always checks this
    }
    known = set(vars(simplejwt_settings.SimpleJWT()))
    assert {name for name in DEFAULTS if not name.endswith("_SERIALIZER")} - harmless == known
