"""OpenAPI documents in YAML, from a service and from a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from securecore_scan.client.target import Target
from securecore_scan.discovery import document
from securecore_scan.plan import Plan, PlanError
from securecore_scan.redaction import Redactor
from tests.scanner.conftest import ROOT, open_transport, scanned
from tests.scanner.service import Answer, serving

EXPRESS = (ROOT / "tests/scanner/peers/express/openapi.yaml").read_text()
#: Nine levels of nine aliases: 3 KB that stand for 387 million values.
BOMB = "openapi: 3.0.0\npaths: {}\na0: &a0 [x]\n" + "".join(
    f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 9)}]\n" for level in range(9)
)


def read(text: str, tmp_path: Path) -> list[tuple[str, str]]:
    path = tmp_path / "openapi.yaml"
    path.write_text(text)
    with open_transport("http://localhost:1") as transport:
        found = document.read(Target(transport, Plan(), Redactor()), str(path))
    return [(one.method, one.path) for one in document.operations(found, "")]


def test_document_from_a_file_lists_its_operations(tmp_path: Path) -> None:
    found = read(EXPRESS, tmp_path)
    assert ("POST", "/auth/login") in found
    assert ("DELETE", "/notes/{id}") in found


def test_document_of_the_service_is_found_and_read() -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/openapi.yaml":
            return 200, {"Content-Type": "text/yaml"}, EXPRESS.encode()
        return 404, {}, {}

    with serving(answer) as service, open_transport(service.url) as transport:
        target = Target(transport, Plan(), Redactor())
        found = list(document.operations(document.read(target, None), ""))
    assert target.routes["openapi"] == "/openapi.yaml"
    (login,) = (one for one in found if one.path == "/auth/login")
    assert login.schema["required"] == ["username", "password"], "a merge key of YAML"
    assert set(login.properties) == {"username", "password", "email"}


def test_date_stays_a_text(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text("openapi: 3.0.0\ninfo: { version: 2026-01-31 }\npaths: {}\n")
    with open_transport("http://localhost:1") as transport:
        found = document.read(Target(transport, Plan(), Redactor()), str(path))
    assert found["info"]["version"] == "2026-01-31"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "repeats itself by aliases"),
        ("openapi: 3.0.0\npaths: &paths { again: *paths }\n", "repeats itself by aliases"),
        ("openapi: 3.0.0\npaths: [\n", "is no YAML"),
        ("openapi: 3.0.0\npaths: !!python/object/apply:os.getcwd []\n", "is no YAML"),
        ("openapi: " + "[" * 5000, "is no YAML"),
    ],
    ids=["bomb", "endless", "broken", "object", "deep"],
)
def test_hostile_document_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        read(text, tmp_path)


def test_hostile_document_of_the_service_does_not_end_the_scan() -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return (200, {}, BOMB.encode()) if path == "/openapi.yaml" else (200, {}, {})

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-BFLA-1")
    assert "repeats itself by aliases" in found.errors
    assert found.verdicts == {"SC-BFLA-1": "SKIPPED"}


def test_document_without_the_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(PlanError, match=r"pip install 'securecore-scan\[yaml\]'"):
        read(EXPRESS, tmp_path)
