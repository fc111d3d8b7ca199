"""Every system check reports its fault, is silent without the fault, and gives a hint."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import markcoroutinefunction
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.checks import run_checks
from django.db import connection, transaction
from django.urls import path
from django.utils.module_loading import import_string
from psycopg import IsolationLevel
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from securecore.checks import EVERY_CHECK
from securecore.checks.access import w707_not_migrated
from securecore.checks.identity import e106_proxy_signature_keys
from securecore.checks.replay import e405_fresh_in_a_transaction
from securecore.checks.tokens import e301_signing_keys, e303_simplejwt, w304_no_signing_key, w305_view_left_behind
from securecore.http.authentication import CertificateAuthentication, SimpleJWTAuthentication
from securecore.testing import MutualTLSClient
from securecore.tokens import keys
from tests.checks.findings import found
from tests.checks.urls import (
    CloseLater,
    Payouts,
    Transfers,
    close_later,
)
from tests.replay.signing import public_pem
from tests.support.rsa_keys import rsa_key

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}
OURS = "securecore.http.authentication."
BASIC = "rest_framework.authentication.BasicAuthentication"
P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def securecore(settings: Any) -> Any:
    """`securecore(NAME=value)` changes the app's settings."""

    def change(**changed: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, **changed}

    return change


def pem(key: Any, protection: Any = None) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption()).decode())


def pem_of_unknown_curve() -> str:
    der = P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = base64.encodebytes(der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")))
    return f"-----BEGIN PRIVATE KEY-----\n{body.decode()}-----END PRIVATE KEY-----\n"


def test_nothing_is_found_in_a_good_project() -> None:
    assert found() == []


@pytest.mark.django_db
def test_django_runs_them_all(settings: Any) -> None:
    settings.MIDDLEWARE = []
    settings.SESSION_COOKIE_SECURE = False
    ids = {str(message.id) for message in run_checks()}
    assert {f"securecore.{each}" for each in found()} <= ids
    assert "securecore.E101" in ids


class TestTrust:
    @pytest.mark.parametrize(
        ("given", "ids"),
        [
            ({"TRUSTED_PROXIES": []}, ["W103"]),
            ({"TRUSTED_PROXIES": [], "CERTIFICATE_SOURCE": "gunicorn"}, []),
            ({"CERTIFICATE_AUTHORITIES": "no such file"}, ["E104"]),
            ({"CERTIFICATE_AUTHORITIES": __file__}, ["E104"]),
            ({"TRUSTED_PROXIES": ["unix:"], "PROXY_SECRETS": []}, []),
            ({"TRUSTED_PROXIES": ["10.0.0.0/8"]}, []),
        ],
    )
    def test_trust_in_nobody_is_warned_of(self, securecore: Any, given: dict[str, Any], ids: list[str]) -> None:
        securecore(**given)
        assert found() == ids


class TestProxySignatureKeys:
    @pytest.mark.parametrize("key", [P256, rsa_key(2048), ed25519.Ed25519PrivateKey.generate()])
    def test_proxy_signature_keys_that_sign_are_good(self, securecore: Any, key: Any) -> None:
        securecore(PROXY_SIGNATURE_KEYS=[{"keyid": "edge", "public_key": public_pem(key)}])
        assert found() == []

    @pytest.mark.parametrize(
        "presented",
        [
            "",
            "junk",
            pem(P256),
            public_pem(x25519.X25519PrivateKey.generate()),
            public_pem(ec.generate_private_key(ec.SECP521R1())),
            public_pem(rsa_key(1024)),
        ],
        ids=["nothing", "junk", "a private one", "X25519", "P-521", "a short one"],
    )
    def test_proxy_signature_keys_that_verify_nothing_are_found(self, securecore: Any, presented: str) -> None:
        good, bad = {"keyid": "a", "public_key": public_pem(P256)}, {"keyid": "b", "public_key": presented}
        securecore(PROXY_SIGNATURE_KEYS=[good, bad])
        assert found() == ["E106"]
        [message] = e106_proxy_signature_keys()
        assert "'b'" in message.msg
        assert len(presented) < 10 or presented not in message.msg + str(message.hint)


class TestCookie:
    @pytest.mark.parametrize(
        ("name", "value", "ids"),
        [
            ("SESSION_COOKIE_SECURE", False, ["W204"]),
            ("SESSION_COOKIE_HTTPONLY", False, ["W205"]),
            ("SESSION_COOKIE_NAME", "sessionid", ["W203"]),
            ("SESSION_COOKIE_NAME", "__Secure-sessionid", ["W203"]),
            ("SESSION_COOKIE_SAMESITE", "None", ["W206"]),
            ("SESSION_COOKIE_SAMESITE", None, ["W206"]),
            ("SESSION_COOKIE_SAMESITE", False, ["W206"]),
            ("SESSION_COOKIE_SAMESITE", "Strict", []),
            ("SESSION_COOKIE_NAME", "__Host-id", []),
            ("SESSION_COOKIE_DOMAIN", "example.org", ["E207"]),
            ("SESSION_COOKIE_PATH", "/app", ["E207"]),
            ("SESSION_SAVE_EVERY_REQUEST", True, ["W209"]),
        ],
    )
    def test_cookie_belongs_to_this_host_over_tls(self, settings: Any, name: str, value: Any, ids: list[str]) -> None:
        setattr(settings, name, value)
        assert found() == ids


class TestTimeouts:
    @pytest.mark.parametrize(
        ("given", "ids"),
        [
            ({"SESSION_IDLE_TIMEOUT": 3_601}, ["W208"]),
            ({"SESSION_ABSOLUTE_TIMEOUT": 86_401}, ["W208"]),
            ({"SESSION_IDLE_TIMEOUT": 60, "SESSION_ABSOLUTE_TIMEOUT": 600}, []),
        ],
    )
    def test_timeouts_beyond_aal2_are_warned_of(self, securecore: Any, given: dict[str, Any], ids: list[str]) -> None:
        securecore(**given)
        assert found() == ids


class TestSigningKeys:
    @pytest.mark.parametrize(
        ("algorithm", "key", "ids"),
        [
            ("ES256", pem(P256), []),
            ("ES256", "", ["E301"]),
            ("ES256", "not a key", ["E301"]),
            ("ES256", pem(P256, BestAvailableEncryption(b"password")), ["E301"]),
            (
                "ES256",
                P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
                ["E301"],
            ),
            ("ES256", pem(P256).replace("M", "-", 1), ["E301"]),
            ("ES256", pem_of_unknown_curve(), ["E301"]),
            ("ES256", pem(ec.generate_private_key(ec.SECP384R1())), ["E301"]),
            ("ES256", pem(rsa_key(2048)), ["E301"]),
            ("EdDSA", pem(P256), ["E301"]),
            ("EdDSA", pem(x25519.X25519PrivateKey.generate()), ["E301"]),
            ("PS256", pem(P256), ["E301"]),
            ("PS256", pem(rsa_key(2048)), []),
            ("PS256", pem(rsa_key(1024)), ["E301"]),
            ("RS256", pem(rsa_key(2047)), ["E301"]),
            ("HS256", "x" * 32, []),
            ("HS256", "x" * 31, ["E301"]),
            ("HS256", "", ["E301"]),
            ("HS256", pem(P256), ["E301"]),
        ],
    )
    @pytest.mark.parametrize("place", [0, 1])
    def test_signing_keys_are_usable_every_one(
        self, settings: Any, securecore: Any, algorithm: str, key: str, ids: list[str], place: int
    ) -> None:
        signing_keys = copy.copy(settings.SECURECORE["TOKEN_SIGNING_KEYS"])
        signing_keys.insert(place, {"kid": "another", "alg": algorithm, "private_key": key})
        securecore(TOKEN_SIGNING_KEYS=signing_keys)
        assert found() == ids

    def test_signing_keys_that_cannot_be_used_are_named(self, securecore: Any) -> None:
        given = [{"kid": kid, "alg": "RS256", "private_key": pem(P256)} for kid in ("first", "second")]
        securecore(TOKEN_SIGNING_KEYS=given)
        messages = [message.msg for message in e301_signing_keys()]
        assert ["first" in messages[0], "second" in messages[1]] == [True, True]
        assert all("RS256" in message for message in messages)

    def test_signing_keys_are_not_printed(self, securecore: Any) -> None:
        key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n"
        securecore(TOKEN_SIGNING_KEYS=[{"kid": "k", "alg": "ES256", "private_key": key}])
        messages = [message for check in EVERY_CHECK for message in check()]
        assert len(messages) == 1
        assert "c2VjcmV0IQ" not in repr(messages)

    @pytest.mark.parametrize(("urlconf", "ids"), [("tests.urls", ["W304"]), ("tests.checks.urls", [])])
    def test_signing_keys_are_needed_by_the_token_endpoint_only(
        self, settings: Any, securecore: Any, urlconf: str, ids: list[str]
    ) -> None:
        securecore(TOKEN_SIGNING_KEYS=[])
        settings.ROOT_URLCONF = urlconf
        assert found() == ids

    @pytest.mark.django_db
    def test_signing_keys_may_be_in_the_table(self, securecore: Any, now: dt.datetime) -> None:
        securecore(TOKEN_SIGNING_KEYS=[], ENCRYPTION_KEYS=[Fernet.generate_key().decode()])
        assert found() == []  # the table is not read without --database
        assert [message.id for message in w304_no_signing_key(databases=["default"])] == ["securecore.W304"]
        keys.rotate(algorithm="ES256", lead=0, now=now)
        assert w304_no_signing_key(databases=["default"]) == []


def rates(authentication: type, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the only view of a project, shop.views.Rates, which names this authentication class itself."""
    module = ModuleType("project_urls")
    view = type("Rates", (APIView,), {"authentication_classes": (authentication,), "__module__": "shop.views"})
    module.urlpatterns = [path("rates", view.as_view())]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "project_urls", module)
    settings.ROOT_URLCONF = "project_urls"
    return view


def test_view_that_still_accepts_tokens_of_simplejwt_is_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last step of the move, E303 advised to copy SIMPLE_JWT, and named no view."""
    rates(SimpleJWTAuthentication, settings, monkeypatch)
    settings.SIMPLE_JWT = {}
    [message] = e303_simplejwt()
    assert "SimpleJWTAuthentication is in shop.views.Rates: take it out there" in str(message.hint)


def _subclass(base: type) -> Any:
    return type("Own", (base,), {"__module__": "shop.authentication"})


class TestViewLeftBehind:
    @pytest.mark.parametrize(
        "left",
        [
            "rest_framework_simplejwt.authentication.JWTAuthentication",
            "rest_framework.authentication.TokenAuthentication",
            "oauth2_provider.contrib.rest_framework.OAuth2Authentication",
        ],
    )
    def test_view_with_classes_of_its_own_is_reported_once_the_default_has_moved(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, left: str
    ) -> None:
        """The change of the default does not reach such a view, and no revocation ends its tokens."""
        view = rates(import_string(left), settings, monkeypatch)
        [message] = w305_view_left_behind()
        assert "shop.views.Rates" in message.msg
        monkeypatch.setattr(
            api_settings, "DEFAULT_AUTHENTICATION_CLASSES", [CertificateAuthentication, import_string(left)]
        )
        assert w305_view_left_behind() == [], "the package is still in use"
        monkeypatch.setattr(view, "authentication_classes", (CertificateAuthentication,))
        monkeypatch.setattr(api_settings, "DEFAULT_AUTHENTICATION_CLASSES", [CertificateAuthentication])
        assert w305_view_left_behind() == []
        beside = view.as_view(authentication_classes=[CertificateAuthentication, _subclass(import_string(left))])
        sys.modules["project_urls"].urlpatterns.append(path("beside", beside))
        [message] = w305_view_left_behind()
        assert "shop.views.Rates (Own)" in message.msg, "given to as_view(), and a subclass"


class TestTokenLifetime:
    @pytest.mark.parametrize(("seconds", "ids"), [(1, []), (300, []), (900, []), (901, ["W302"]), (86_400, ["W302"])])
    def test_token_lifetime_is_minutes(self, securecore: Any, seconds: int, ids: list[str]) -> None:
        securecore(ACCESS_TOKEN_LIFETIME=seconds)
        assert found() == ids


class TestDatabase:
    @pytest.mark.parametrize(
        ("database", "ids"),
        [
            (SQLITE, ["E601"]),
            (SQLITE | {"OPTIONS": {}}, ["E601"]),
            (SQLITE | {"OPTIONS": {"transaction_mode": "DEFERRED"}}, ["E601"]),
            (SQLITE | {"OPTIONS": {"transaction_mode": None}}, ["E601"]),
            (SQLITE | {"OPTIONS": {"transaction_mode": "IMMEDIATE"}}, []),
            (SQLITE | {"OPTIONS": {"transaction_mode": "EXCLUSIVE"}}, []),
            (POSTGRESQL, []),
            (POSTGRESQL | {"OPTIONS": {"isolation_level": IsolationLevel.READ_COMMITTED}}, []),
            (POSTGRESQL | {"OPTIONS": {"isolation_level": IsolationLevel.REPEATABLE_READ}}, ["E602"]),
            (POSTGRESQL | {"OPTIONS": {"isolation_level": IsolationLevel.SERIALIZABLE}}, ["E602"]),
            (POSTGRESQL | {"OPTIONS": {"isolation_level": 3}}, ["E602"]),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    def test_database_holds_a_check_and_its_effect_together(
        self, settings: Any, database: dict[str, Any], ids: list[str]
    ) -> None:
        settings.DATABASES = {"default": database}
        assert found() == ids

    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    def test_database_is_the_one_with_our_tables(self, settings: Any, securecore: Any) -> None:
        settings.DATABASES = {"default": SQLITE, "effects": POSTGRESQL}
        securecore(DATABASE="effects")
        settings.DATABASE_ROUTERS = [Router("effects")]
        assert found() == []
        settings.DATABASE_ROUTERS = []
        assert found() == ["E611"]  # the users are in "default"
        settings.DATABASE_ROUTERS = [Router("effects", migrates=False)]
        assert found() == ["E610"]

    def test_database_is_one_that_exists(self, securecore: Any) -> None:
        securecore(DATABASE="elsewhere")
        assert found() == ["E603"]


class Router:
    """A database router that keeps all models in one database."""

    def __init__(self, alias: str, *, migrates: bool = True) -> None:
        self.alias, self.migrates = alias, migrates

    def db_for_write(self, model: object, **hints: object) -> str:
        return self.alias

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return self.migrates or app_label != "securecore"


class TestTransactions:
    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    @pytest.mark.parametrize(("atomic", "ids"), [(False, []), (True, ["E405"])])
    def test_fresh_on_a_handler_needs_no_transaction_around_it(
        self, settings: Any, atomic: bool, ids: list[str]
    ) -> None:
        settings.ROOT_URLCONF = "tests.checks.urls"
        settings.DATABASES = {"default": POSTGRESQL | {"ATOMIC_REQUESTS": atomic}}
        assert found() == ids
        handlers = [message.msg.partition(": ")[2] for message in e405_fresh_in_a_transaction()]
        assert handlers == ["tests.checks.urls.Payouts.post."][: len(ids)]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("view", [close_later, CloseLater.as_view()])
    def test_async_views_need_no_transaction_around_them(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, view: Any
    ) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        exempt = transaction.non_atomic_requests(lambda *args, **kwargs: view(*args, **kwargs))
        for guarded, ids, status in [(view, ["E810"], 500), (markcoroutinefunction(exempt), [], 401)]:
            settings.ROOT_URLCONF = (path("", guarded),)
            assert found() == ids
            assert MutualTLSClient(None, raise_request_exception=False).post("/").status_code == status


class TestMigrated:
    @pytest.mark.django_db
    def test_tables_of_securecore_are_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert w707_not_migrated(databases=["default"]) == []
        monkeypatch.setattr(type(connection.introspection), "table_names", lambda *_: ["auth_user"])
        assert w707_not_migrated() == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["manage.py", "migrate"])
            assert w707_not_migrated(databases=["default"]) == []
        [message] = w707_not_migrated(databases=["default"])
        assert "securecore_audit" in message.msg


class TestLeases:
    @pytest.mark.parametrize(("milliseconds", "ids"), [(0, []), (200, []), (1_000, []), (1_001, ["W701"])])
    def test_leases_do_not_make_everybody_wait(self, securecore: Any, milliseconds: int, ids: list[str]) -> None:
        securecore(LEASE_MS=milliseconds)
        assert found() == ids


class TestCallers:
    @pytest.mark.parametrize(
        ("classes", "ids"),
        [
            ([OURS + "CertificateAuthentication", BASIC], []),
            ([BASIC], []),
            ([BASIC, OURS + "CertificateAuthentication"], ["W702"]),
            ([OURS + "AccessTokenAuthentication", BASIC, OURS + "CertificateAuthentication"], ["W702"]),
        ],
    )
    def test_callers_are_compared_by_our_classes(self, settings: Any, classes: list[str], ids: list[str]) -> None:
        settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": classes}
        assert found() == ids

    @pytest.mark.urls("tests.checks.urls")
    @pytest.mark.parametrize(
        ("changed", "ids"),
        [
            ({}, []),
            ({"DEFAULT_AUTHENTICATION_CLASSES": [BASIC]}, ["W708"]),
            ({"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"]}, ["W709"]),
            ({"DEFAULT_PERMISSION_CLASSES": []}, ["W709"]),
            ({"EXCEPTION_HANDLER": "rest_framework.views.exception_handler"}, ["W710"]),
            ({"EXCEPTION_HANDLER": "tests.checks.urls.own_handler"}, []),
        ],
    )
    def test_views_of_rest_framework_know_securecore(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], ids: list[str]
    ) -> None:
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, **changed}
        # APIView has read both settings when it was imported.
        monkeypatch.setattr(APIView, "authentication_classes", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
        monkeypatch.setattr(APIView, "permission_classes", api_settings.DEFAULT_PERMISSION_CLASSES)
        assert found() == ids
        monkeypatch.setattr(Payouts, "authentication_classes", [CertificateAuthentication], raising=False)
        for view in (Payouts, Transfers):
            monkeypatch.setattr(view, "permission_classes", [AllowAny], raising=False)
        assert found() == [each for each in ids if each == "W710"]

    @pytest.mark.parametrize(
        ("backends", "ids"),
        [
            (["securecore.http.backends.CertificateBackend"], []),
            (["tests.checks.urls.OwnBackend"], []),
            (["django.contrib.auth.backends.ModelBackend"], ["W108"]),
            (["no.such.Backend"], ["W108"]),
        ],
    )
    def test_callers_log_in_by_certificate(self, settings: Any, backends: list[str], ids: list[str]) -> None:
        settings.AUTHENTICATION_BACKENDS = backends
        assert found() == ids

    def test_callers_come_over_tls(self, settings: Any, securecore: Any) -> None:
        settings.SECURE_PROXY_SSL_HEADER = None
        assert found() == ["W109"]
        securecore(TRUSTED_PROXIES=[], CERTIFICATE_SOURCE="gunicorn", PROXY_SECRETS=[])
        assert found() == []

    def test_callers_are_compared_by_our_middleware(self, settings: Any) -> None:
        ours, theirs = "securecore.http.middleware.", "django.contrib.auth.middleware."
        settings.MIDDLEWARE = [
            f"{theirs}AuthenticationMiddleware" if each == f"{ours}AuthenticationMiddleware" else each
            for each in settings.MIDDLEWARE
        ]
        assert found() == ["W703"]


@pytest.mark.parametrize(("server", "reported"), [("uWSGI", ["W105"]), ("uvicorn", []), ("granian", [])])
def test_a_server_that_lets_underscores_through(
    server: str, reported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"{server.lower()}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {server}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert found() == reported
