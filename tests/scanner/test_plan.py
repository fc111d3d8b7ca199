"""A plan is read from TOML, or refused with the name of the wrong entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo_project.stack import BASE_DIR
from securecore_scan import planfile
from securecore_scan.plan import Call, Plan, PlanError
from securecore_scan.templates import environment_names, fill


def load(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return planfile.load(path)


def test_toml_tables_become_dataclasses(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        """
        [[effect]]
        name = "transfer"
        request = { path = "/t", headers = { Idempotency-Key = "{key}" }, json = { amount = 1 } }
        count = { path = "/t?memo={canary}" }
        [memory]
        certificates = [{ cert = "a.pem", key = "a.key" }]
        [authorization]
        effect = "transfer"
        revoke = { path = "/revoke" }
        restore = { path = "/grant", method = "PUT" }
        latency = 3
        """,
    )
    (effect,) = plan.effect
    assert str(effect.request) == "POST /t"
    assert effect.count is not None
    assert effect.count.field == "count"
    assert plan.memory.certificates[0].cert == tmp_path / "a.pem"
    assert plan.authorization is not None
    assert (plan.authorization.restore.method, plan.authorization.latency) == ("PUT", 3)


@pytest.mark.parametrize("path", ["demo_project/scan.toml", "demo_project/vulnerable/scan.toml"])
def test_plans_of_the_demo_are_valid(path: str) -> None:
    plan = planfile.load(BASE_DIR / path)
    assert [effect.name for effect in plan.effect] == ["transfer", "payout"]


def test_plan_of_the_manual_is_valid(tmp_path: Path) -> None:
    manual = (BASE_DIR / "docs" / "scanner.md").read_text()
    plan = load(tmp_path, manual.split("```toml\n")[1].split("```")[0])
    assert plan.limit is not None
    assert plan.memory.pid == 4711


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[memmory]\nurl = '/m'", "did you mean 'memory'"),
        ("[memory]\nurll = '/m'", "did you mean 'url'"),
        ("memory = 1", "must be a table"),
        ("[[effect]]\nname = 'x'", "needs 'request'"),
        ("effect = 'x'", "must be an array"),
        ("[tokens]\nlongest_life = '300'", "must be a whole number"),
        ("[tokens]\nlongest_life = true", "must be a whole number"),
        ("[tokens]\ndpop = 1", "must be true or false"),
        ("[session]\nread = 1", "must be a text"),
        ("[tokens]\nrequest = { path = '/t', form = 'x' }", "must be a table of texts"),
        ("[memory", "is not TOML"),
    ],
)
def test_error_names_the_wrong_entry(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PlanError) as error:
        load(tmp_path, text)
    assert message in str(error.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="Cannot read"):
        planfile.load(tmp_path / "none.toml")


def test_placeholders_are_filled_at_any_depth() -> None:
    values = {"key": "k1", "env:PASSWORD": "secret"}
    template = {"a": ["{key}", {"b": "x{env:PASSWORD}y"}], "c": 1, "d": "{unknown} {}"}
    assert fill(template, values) == {"a": ["k1", {"b": "xsecrety"}], "c": 1, "d": "{unknown} {}"}
    assert environment_names(Call("/{env:PATH_PART}", json=template)) == {"PATH_PART", "PASSWORD"}
