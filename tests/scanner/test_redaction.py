"""No report format contains a secret. Canary secrets stand in every place that a secret can come from."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from securecore_scan.redaction import Redactor
from securecore_scan.report import FORMATS
from securecore_scan.report.document import map_texts
from tests.scanner.conftest import scanned
from tests.scanner.service import Answer, serving

CANARIES = {
    "access": "canary-access-0123456789",
    "refresh": "canary-refresh-0123456789",
    "cookie": "canary-cookie-0123456789",
    "password": "canary-password-0123456789",
    "signing": "canary-signing-0123456789",
    "voucher": "canary-voucher-0123456789",
    "body": "canary-body-0123456789",
    "header": "canary-header-0123456789",
}
PLAN = f"""
[session]
login = {{ path = "/login", json = {{ password = "{{env:SCAN_TEST_PASSWORD}}" }} }}
logout = {{ path = "/logout?token={CANARIES["access"]}" }}
read = "/whoami"
[tokens]
request = {{ path = "/token", form = {{ password = "{{env:SCAN_TEST_PASSWORD}}" }} }}
refresh = {{ path = "/refresh", form = {{ refresh = "{{refresh}}" }} }}
use = "/whoami"
signing_secret = "{CANARIES["signing"]}"
[[effect]]
name = "payment"
request = {{ path = "/pay", headers = {{ Authorization = "Bearer {{env:SCAN_TEST_PASSWORD}}" }} }}
[limit]
prepare = {{ path = "/voucher" }}
use = {{ path = "/redeem", json = {{ code = "{{prepared}}" }} }}
"""


def jwt() -> str:
    part = base64.urlsafe_b64encode(json.dumps({"sub": CANARIES["body"]}).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{part}.c2lnbmF0dXJlLWNhbmFyeQ"


def careless(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """A service that repeats every secret in every response, also in error codes."""
    said = {
        "access_token": CANARIES["access"],
        "refresh_token": CANARIES["refresh"],
        "code": CANARIES["voucher"] if "voucher" in path else f"no-{headers.get('authorization', '')}-{body.decode()}",
        "detail": f"{jwt()} {CANARIES['body']}",
        "user": CANARIES["cookie"],
    }
    cookie = {"Set-Cookie": f"sessionid={CANARIES['cookie']}; Path=/", "X-Said": CANARIES["header"]}
    if method == "OPTIONS":
        return 404, {}, {}
    if path == "/whoami" and not headers.get("authorization") and not headers.get("cookie"):
        return 401, cookie, said
    return (500 if path == "/redeem" and len(body) % 3 else 200), cookie, said


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The report of a scan of the careless service, in every format."""
    plan = tmp_path_factory.mktemp("canaries") / "plan.toml"
    plan.write_text(PLAN)
    patch = pytest.MonkeyPatch()
    patch.setenv("SCAN_TEST_PASSWORD", CANARIES["password"])
    try:
        with serving(careless) as service:
            runs = {form: scanned(service.url, "--plan", plan, form=form) for form in FORMATS}
    finally:
        patch.undo()
    assert {run.code for run in runs.values()} == {1}
    return {form: run.text + run.errors for form, run in runs.items()}


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_contains_a_secret(told: dict[str, str], form: str) -> None:
    text = told[form]
    assert "SC-TOKEN" in text
    assert [kind for kind, canary in CANARIES.items() if canary in text] == []
    assert "eyJhbGci" not in text


def test_report_shows_the_kind_of_redacted_secrets(told: dict[str, str]) -> None:
    """A control: without redacted texts the test above proves nothing."""
    content = json.JSONDecoder().raw_decode(told["json"])[0]
    results: list[dict[str, Any]] = [result for category in content["categories"] for result in category["results"]]
    assert sum(result["verdict"] in ("PASS", "FAIL") for result in results) >= 10
    assert "<from the environment>" in told["json"] or "<access token>" in told["json"]


def test_longer_secret_is_redacted_before_a_shorter_one() -> None:
    redactor = Redactor()
    redactor.add("abcdef", "short")
    redactor.add("abcdef-abcdef-123", "long")
    assert redactor.redact("x abcdef-abcdef-123 y abcdef z") == "x <long> y <short> z"


def test_unknown_pem_blocks_and_jwts_are_redacted() -> None:
    pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----"
    assert map_texts({"a": [f"it said {pem}!", 3]}, Redactor().redact) == {"a": ["it said <secret>!", 3]}
    assert Redactor().redact(f"token {jwt()}") == "token <secret>"


def test_error_does_not_quote_a_password_of_the_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(f"[tokens]\nsigning_secret = ['{CANARIES['signing']}']\n")
    run = scanned("http://localhost:1", "--plan", plan)
    assert run.code == 2
    assert CANARIES["signing"] not in run.errors
