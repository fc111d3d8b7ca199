"""Names on which callers and operators rely are unique, well formed and documented."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import TypeVar

from securecore import conf
from securecore.errors import every_refusal
from securecore.events import every_event
from tests.support.tree import ROOT, files

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


def test_every_setting_is_documented() -> None:
    manual = "".join(path.read_text() for path in (ROOT / "README.md", *files(".md", under="docs")))
    names = [field.name for field in dataclasses.fields(conf.Settings)]
    assert not [name for name in names if not re.search(rf"[`\"']{name}[`\"']", manual)]
