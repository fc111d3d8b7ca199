"""From a URL to the first verdict: registration, login, token, canary objects, and the plan that ``init`` writes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from securecore_scan import cli, discovery, planfile
from securecore_scan.client.target import Target
from securecore_scan.plan import Plan
from securecore_scan.redaction import Redactor
from tests.scanner.conftest import Scanned, open_transport, scanned
from tests.scanner.edge import certificates, nginx
from tests.scanner.known.notes import Notes
from tests.scanner.known.notes_document import document
from tests.scanner.service import Answer, serving

pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


def run(*arguments: object) -> Scanned:
    """Run the program without the option of a format."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit:
            code = int(exit.code or 0)
    return Scanned(code, out.getvalue(), err.getvalue())


class TestThePlanThatInitWrites:
    def test_init_plan_gives_the_verdicts_of_a_scan_without_a_plan(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        with serving(Notes(weak=True).answer) as notes:
            written = run("init", notes.url, "--output", path)
            with_plan, without = scanned(notes.url, "--plan", path), scanned(notes.url)
        assert written.code == 0, written.errors
        plan = planfile.load(path)
        assert str(plan.registration) == "POST /users/v1/register"
        assert str(plan.tokens.request) == "POST /users/v1/login"
        assert plan.tokens.use == "/me"
        assert [one.read for one in plan.object] == ["/notes/v1/{id}"]
        assert with_plan.verdicts == without.verdicts

    def test_init_names_each_missing_entry_and_the_reason(self, tmp_path: Path) -> None:
        with serving(Notes(weak=False).answer) as notes:
            written = run("init", notes.url)
        for name in ("tokens.signing_key", "authorization", "limit"):
            assert f"# {name}: needed by SC-" in written.text
            assert f"missing: {name}, needed by SC-" in written.errors
        assert "# effect:" not in written.text
        path = tmp_path / "plan.toml"
        path.write_text(written.text)
        assert planfile.load(path).effect

    def test_init_examples_are_valid_entries(self, tmp_path: Path) -> None:
        """Each commented example can be uncommented."""
        for entry in discovery.planned._MISSING:
            path = tmp_path / "plan.toml"
            path.write_text(entry["example"])
            planfile.load(path)

    def test_init_password_of_a_login_is_not_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        notes = Notes(weak=False)
        notes.users["canary"] = {"username": "canary", "password": "a-long-word", "email": "c@x", "admin": False}
        monkeypatch.setenv("SECURECORE_SCAN_PASSWORD", "a-long-word")
        with serving(notes.answer) as service:
            written = run("init", service.url, "--login", "canary")
        assert "a-long-word" not in written.text + written.errors
        assert "{env:SECURECORE_SCAN_PASSWORD}" in written.text

    def test_init_without_a_response_names_the_url(self) -> None:
        written = run("init", "http://localhost:1")
        assert written.code == 2
        assert "No response from http://localhost:1" in written.errors


class TestReadOnly:
    def test_read_only_sends_no_other_method(self) -> None:
        with serving(Notes(weak=True).answer) as notes:
            found = scanned(notes.url, "--read-only")
        assert {method for method, *_ in notes.asked} <= {"GET", "HEAD", "OPTIONS"}
        assert found.code == 3

    def test_read_only_sends_no_other_method_that_a_plan_names(self, tmp_path: Path) -> None:
        """Discovery sends none by itself; the attacks of a plan meet the guard of the connection."""
        plan = tmp_path / "plan.toml"
        plan.write_text(
            '[[effect]]\nname = "note"\nrequest = { path = "/notes/v1", json = { text = "{canary}" } }\n'
            '[session]\nread = "/me"\nlogin = { path = "/users/v1/login", json = { username = "a", password = "b" } }\n'
        )
        with serving(Notes(weak=True).answer) as notes:
            scanned(notes.url, "--read-only", "--plan", plan)
        assert {method for method, *_ in notes.asked} <= {"GET", "HEAD", "OPTIONS"}

    def test_read_only_opens_no_account(self) -> None:
        notes = Notes(weak=True)
        with serving(notes.answer) as service:
            run("init", service.url, "--read-only")
        assert set(notes.users) == {"admin"}


class TestAnnouncements:
    def test_announcement_precedes_each_change(self) -> None:
        """Every unsafe route that a scan of the notes API calls was named before."""
        said: list[str] = []
        notes = Notes(weak=True)

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            if method in ("POST", "PUT") and not path.startswith("/users/v1/log"):
                assert any(f"{method} /{path.split('/')[1]}" in one or method == "PUT" for one in said), (path, said)
            return notes.answer(method, path, headers, body)

        with serving(answer) as service, open_transport(service.url) as transport:
            target = Target(transport, Plan(), Redactor())
            target.announce = said.append
            discovery.complete(target, None)
        assert len(notes.notes) == 1
        assert len(notes.users) == 3

    def test_announcement_is_left_out_with_quiet(self) -> None:
        with serving(Notes(weak=True).answer) as notes:
            loud = scanned(notes.url, "--only", "SC-BOLA")
            quiet = scanned(notes.url, "--only", "SC-BOLA", "--quiet")
        assert "opens the canary account" in loud.errors
        assert "creates canary objects by POST /notes/v1" in loud.errors
        assert quiet.errors == ""


class TestDangerousRoutes:
    """A document may list routes that no scan may call unasked."""

    DANGEROUS = ("/users/{id}/delete", "/createdb", "/admin/reset", "/webhooks", "/accounts", "/emails/send-email")

    def test_dangerous_routes_are_never_called(self) -> None:
        document: dict[str, Any] = {"openapi": "3.0.0", "paths": {}}
        for path in self.DANGEROUS:
            document["paths"][path] = {"post": {}, "get": {}}
        notes = Notes(weak=True)

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            status, more, content = notes.answer(method, path, headers, body)
            if path == "/openapi.json":
                content["paths"] = document["paths"] | content["paths"]
            return status, more, content

        with serving(answer) as service:
            scanned(service.url)
        called = {(method, path.partition("?")[0]) for method, path, *_ in service.asked}
        assert not {("POST", path) for path in self.DANGEROUS} & called
        assert ("GET", "/createdb") not in called


def test_login_that_gives_a_token_in_a_nested_object_is_understood() -> None:
    notes = Notes(weak=False)

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        status, more, content = notes.answer(method, path, headers, body)
        if "auth_token" in content:
            content = {"data": {"accessToken": content["auth_token"], "expiresIn": 300}}
        return status, more, content

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-TOKEN")
    assert found.verdicts["SC-TOKEN-1"] == "PASS", found.text


def test_missing_authority_is_named(tmp_path: Path) -> None:
    """A failed verification says --ca, and an untrusted server is not called down."""
    with serving(Notes(weak=False).answer) as notes, nginx(tmp_path, notes.url) as url:
        found = scanned(url)
    assert found.code in (1, 3)
    assert "--ca" in found.content["stopped"]


def test_object_that_everybody_may_list_is_no_finding() -> None:
    """The list of a shared notice board shows the same fields as the object."""
    notes = Notes(weak=True)

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        status, more, content = notes.answer(method, path, headers, body)
        if (method, path) == ("GET", "/notes/v1") and status == 200:
            content = {"notes": list(notes.notes.values())}
        return status, more, content

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-BOLA-1")
    assert found.verdicts == {"SC-BOLA-1": "INCONCLUSIVE"}, found.text


@pytest.mark.parametrize(
    ("setting", "without"), [("on", "PASS"), ("optional", "FAIL")], ids=["certificates demanded", "optional"]
)
def test_bearer_token_behind_mutual_tls_is_not_bound(tmp_path: Path, setting: str, without: str) -> None:
    """The edge demands a certificate, and the token works under another one, or without any, all the same."""
    with (
        serving(Notes(weak=False).answer) as notes,
        nginx(tmp_path, notes.url, f"ssl_verify_client {setting};") as url,
    ):
        found = scanned(url, *certificates(tmp_path), "--only", "SC-TOKEN", "--only", "SC-BOLA", "--only", "SC-MASS")
    verdicts = found.verdicts
    assert (verdicts["SC-TOKEN-3"], verdicts["SC-TOKEN-4"]) == ("FAIL", without), found.text
    assert {verdicts[check] for check in ("SC-TOKEN-1", "SC-BOLA-1", "SC-BOLA-2", "SC-MASS-1")} == {"PASS"}, found.text


class TestALoginThatDoesNotOpen:
    def closed(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The notes API without registration."""
        if path == "/openapi.json":
            known = dict(document(weak=False))
            known["paths"] = {name: item for name, item in known["paths"].items() if "register" not in name}
            return 200, {}, known
        return Notes(weak=False).answer(method, path, headers, body)

    def test_login_without_an_account_names_the_options(self) -> None:
        with serving(self.closed) as service:
            found = scanned(service.url, "--only", "SC-TOKEN-1", "--only", "SC-REPLAY-1", "--only", "SC-BOLA-1")
        reason = "POST /users/v1/login asks for a password: name accounts by --login and --second-login"
        assert {result["evidence"][0] for result in found.results} == {reason}
        assert f"found a login: {reason}" in found.errors

    def test_login_without_an_account_decides_nothing_of_sessions(self) -> None:
        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            return (401 if path == "/auth/login" else 404), {}, {}

        with serving(answer) as service:
            found = scanned(service.url, "--only", "SC-FIX-1", "--only", "SC-COOKIE-1")
        assert set(found.verdicts.values()) == {"SKIPPED"}, found.text
        assert "POST /auth/login asks for a password" in found.text
        assert "--openapi names one" in found.errors

    @pytest.mark.parametrize("login", [(), ("--login", "ann")])
    def test_read_only_is_the_reason_that_no_login_opens(
        self, monkeypatch: pytest.MonkeyPatch, login: tuple[str, ...]
    ) -> None:
        """The service never saw the password, so it did not refuse the account."""
        monkeypatch.setenv("SECURECORE_SCAN_PASSWORD", "the right one")
        with serving(self.closed) as service:
            found = scanned(service.url, *login, "--read-only", "--only", "SC-TOKEN-1")
        (result,) = found.results
        assert result["evidence"] == ["POST /users/v1/login needs a POST, and --read-only sends none"]
        assert "--read-only" in result["reproduce"], "the command that repeats a check changes nothing either"

    def test_login_that_refuses_the_account_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECURECORE_SCAN_PASSWORD", "not the right one")
        with serving(self.closed) as service:
            found = scanned(service.url, "--login", "ann", "--only", "SC-TOKEN-1")
        assert [result["evidence"][0] for result in found.results] == ["POST /users/v1/login did not let ann in"]
