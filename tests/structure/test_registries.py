"""Names on which callers and operators rely are unique, well formed and documented."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from securecore import conf
from securecore.errors import every_refusal
from securecore.events import every_event
from securecore.http.request import SAFE_METHODS
from securecore_client import exchange
from tests.support.tree import ROOT, files, relative

Kind = TypeVar("Kind")

CHECK_ID = re.compile(r"""\bid=["'](?:securecore\.)?([EWI]\d{3})["']""")


def repeated(values: Iterable[str]) -> set[str]:
    values = list(values)
    return {value for value in values if values.count(value) > 1}


def own(classes: Iterable[type[Kind]]) -> list[type[Kind]]:
    """Return the classes of the app; a test may define more."""
    return [found for found in classes if found.__module__.startswith("securecore.")]


def test_every_problem_has_a_code_of_its_own() -> None:
    assert not repeated(refusal.code for refusal in own(every_refusal()))


def test_problems_are_complete() -> None:
    for refusal in own(every_refusal()):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", refusal.code), refusal
        assert 400 <= refusal.status <= 599, refusal
        assert refusal.title.endswith("."), refusal


def test_every_event_has_a_name_of_its_own() -> None:
    assert not repeated(event.name for event in own(every_event()))


def test_events_are_named_by_feature_noun_and_past() -> None:
    for event in own(every_event()):
        assert re.fullmatch(r"securecore\.[a-z]+\.[a-z]+(-[a-z]+)+", event.name), event


def test_every_check_has_an_id_of_its_own() -> None:
    ids = [found for path in files(".py", under="securecore/checks") for found in CHECK_ID.findall(path.read_text())]
    assert ids
    assert not repeated(ids)


def test_the_manual_has_every_check() -> None:
    ids = [found for path in files(".py", under="securecore/checks") for found in CHECK_ID.findall(path.read_text())]
    page = (ROOT / "docs" / "checks.md").read_text()
    assert sorted(re.findall(r"^\| ([EWI]\d{3}) \|", page, re.M)) == sorted(["E001", *ids])


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of each row with one name in backticks first, in the tables of a page of the manual."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if re.match(r"\| `[\w.]+` \|", line)]


SETTINGS = [row[0].strip("| `") for row in rows_of("settings.md")]


def test_the_manual_has_every_setting_in_the_order_of_the_code() -> None:
    assert [field.name for field in dataclasses.fields(conf.Settings)] == SETTINGS


def test_settings_are_few() -> None:
    assert len(SETTINGS) <= 30, "a number that only tunes securecore is a constant beside the code that uses it"


def test_the_manual_begins_with_the_six_settings_that_a_project_needs_first() -> None:
    first = (ROOT / "docs" / "settings.md").read_text().split("\n## ")[1]
    assert first.startswith("The first six")
    assert re.findall(r"^\| `(\w+)`", first, re.M) == SETTINGS[:6]


def test_the_manual_has_the_default_of_every_setting_a_reason_and_a_page() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(conf.Settings)}
    for row in rows_of("settings.md"):
        name, default, _unit, reason, page = row
        shown = defaults[name.strip("| `")]
        assert default == "`" + (str([*shown]) if isinstance(shown, tuple) else repr(shown).replace("'", '"')) + "`"
        assert reason
        for link in re.findall(r"\]\(([\w.-]+)(?:#([\w-]+))?\)", page) or [("", "")]:
            headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / link[0]).read_text(), re.M)
            assert link[1] in ["", *map(anchor, headings)], f"{name}: {link}"


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_setting_is_read_by_code() -> None:
    code = "".join(path.read_text() for path in files(".py", under="securecore") if path.name != "conf.py")
    assert not [name for name in SETTINGS if not re.search(rf"settings\.{name}\b", code)]


def test_every_setting_is_set_by_a_test_of_its_feature() -> None:
    tests = [path for path in files(".py", under="tests") if path.parent.name not in ("conf", "structure")]
    code = "".join(path.read_text() for path in tests)
    assert not [name for name in SETTINGS if not re.search(rf"[\"']{name}[\"']|\b{name}=", code)]


def declared(path: Path) -> list[str] | None:
    """Return `__all__` of a module, or None if there is none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def module_of(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


#: Every module with ``__all__``; the client library is a package of its own with a page of its own (docs/replay.md).
PUBLIC = {
    module_of(path): names
    for path in files(".py", under="securecore")
    if (names := declared(path)) is not None and "client" not in path.parts
}


def test_public_names_are_those_of_the_manual() -> None:
    rows = {row[0].strip("| `"): row[1] for row in rows_of("architecture.md")}
    named = {module: sorted(re.findall(r"`(\w+)`", names)) for module, names in rows.items() if module in PUBLIC}
    # A refusal's ``code`` is no name of the module.
    assert {module: [name for name in names if name != "code"] for module, names in named.items()} == {
        module: sorted(names) for module, names in PUBLIC.items()
    }
    assert sum(map(len, PUBLIC.values())) <= 60


def test_public_names_are_there() -> None:
    for module, names in PUBLIC.items():
        assert not [name for name in names if not hasattr(importlib.import_module(module), name)], module


def test_every_name_that_a_package_hands_on_has_a_user() -> None:
    """A name in a package's `__init__` is public, or another package imports it."""
    users = {
        path: path.read_text() for folder in ("securecore", "tests", "tools") for path in files(".py", under=folder)
    }
    for path in files("__init__.py", under="securecore"):
        package = module_of(path)
        name = package.rpartition(".")[2]
        outside = "\n".join(text for user, text in users.items() if path.parent not in user.parents and name in text)
        imported = re.findall(rf"from {package} import \(([^)]*)\)|from {package} import (.*)", outside)
        used = set(re.findall(r"\w+", " ".join(map(" ".join, imported))))
        used |= set(re.findall(rf"\b{name}\.(\w+)", outside))
        handed_on = [
            alias.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("securecore")
            for alias in node.names
        ]
        used |= {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not [name for name in handed_on if name not in used and name not in PUBLIC.get(package, ())], package


def test_client_and_service_agree_on_the_safe_methods() -> None:
    """The client repeats a safe request without a key, and the service demands no proof of it."""
    assert frozenset(exchange._SAFE_METHODS) == SAFE_METHODS
