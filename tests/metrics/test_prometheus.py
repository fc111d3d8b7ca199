"""The Prometheus metrics: counts, the permission to read them, and that dashboard and alerts name existing metrics."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User

from securecore import clock, grants, meters, metrics, replay, revocation
from securecore.errors import NonceReused
from securecore.events import every_event
from securecore.grants import principal_of
from securecore.http.metrics import PERMISSION
from securecore.http.problems import problem_response
from securecore.metrics import state
from tests.support.tree import ROOT

prometheus_client = pytest.importorskip("prometheus_client", reason="the extra metrics")

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.metrics.urls")]


@pytest.fixture(autouse=True)
def _fresh_state() -> None:
    state.forget()


def samples() -> dict[tuple[str, str], float]:
    """Return every sample by its name and the value of its one label."""
    text = metrics.exposition()[0].decode()
    found = re.findall(r'^(securecore_\w+)(?:\{(?:[^}]*?)\w+="([^"]*)"\})? (\S+)$', text, re.MULTILINE)
    return {(name, label): float(value) for name, label, value in found}


def test_refusals_are_counted_by_code(rf: Any) -> None:
    name = ("securecore_requests_refused_total", NonceReused.code)
    before = samples().get(name, 0)
    problem_response(rf.get("/"), NonceReused())
    assert samples()[name] == before + 1


def test_events_revocations_and_gates_are_measured(users: dict[str, User]) -> None:
    names = [
        ("securecore_events_total", "securecore.tokens.everything-revoked"),
        ("securecore_revocation_seconds_count", "revoke_user_tokens"),
        ("securecore_gate_wait_seconds_count", "revocation"),
    ]
    before = samples()
    revocation.revoke_user_tokens(users["bob"])
    after = samples()
    assert [after[name] - before.get(name, 0) for name in names] == [1, 1, 1]


def test_one_query_and_leases_are_measured(mtls_client: Any, settings: Any) -> None:
    client = mtls_client("alice")
    before = samples()
    client.get("/readyz")
    after = samples()
    for name in (("securecore_query_seconds_count", "caller"), ("securecore_lease_lookups_total", "read")):
        assert after[name] - before.get(name, 0) == 1


def test_lost_claims_are_counted_by_table(users: Any) -> None:
    name = ("securecore_claims_lost_total", "seennonce")
    before = samples().get(name, 0)
    now = clock.now()
    replay.claim_nonce("n" * 32, scope="s", made_at=now, now=now)
    with pytest.raises(NonceReused):
        replay.claim_nonce("n" * 32, scope="s", made_at=now, now=now)
    assert samples()[name] == before + 1


def test_state_is_read_from_the_database(mtls_client: Any, ca: Any) -> None:
    mtls_client("alice").post("/auth/login")
    found = samples()
    assert found["securecore_sessions_live", ""] == 1
    assert found["securecore_audit_unsealed", ""] > 0
    assert sum(value for (name, _), value in found.items() if name == "securecore_certificates") == 1
    assert found["securecore_purge_lag_seconds", "securecore_session"] == 0


def test_state_is_read_once_in_a_while(django_assert_num_queries: Any) -> None:
    metrics.exposition()
    with django_assert_num_queries(0):
        metrics.exposition()


class TestView:
    def test_view_is_not_public(self, mtls_client: Any, client: Any) -> None:
        assert client.get("/metrics").status_code == 401
        assert mtls_client("alice").get("/metrics").status_code == 403

    def test_view_answers_a_caller_with_the_permission(self, mtls_client: Any, users: dict[str, User]) -> None:
        grants.grant(principal=principal_of(users["alice"]), permission=PERMISSION, now=clock.now())
        response = mtls_client("alice").get("/metrics")
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/plain")
        assert "securecore_sessions_live" in response.content.decode()

    def test_view_without_the_package_names_the_extra(self, mtls_client: Any, users: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(metrics, "HAS_PROMETHEUS", False)
        grants.grant(principal=principal_of(users["alice"]), permission=PERMISSION, now=clock.now())
        with pytest.raises(Exception, match=r"securecore\[metrics\]"):
            mtls_client("alice").get("/metrics")


_COUNT = """
import sys, django
django.setup()
from securecore import meters, metrics
for _ in range(int(sys.argv[1])):
    meters.REFUSED.add("nonce-reused")
if sys.argv[1] == "0":
    from securecore.metrics import prometheus, state
    state.read = lambda: ()
    sys.stdout.write(metrics.exposition()[0].decode())
"""


def test_counts_of_several_processes_are_summed(tmp_path: Path) -> None:
    def process(count: int) -> str:
        environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-W", "ignore", "-c", _COUNT, str(count)]
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    process(2)
    process(3)
    assert 'securecore_requests_refused_total{code="nonce-reused"} 5.0' in process(0)


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "docs/monitoring/grafana.json").read_text())
    rules = yaml.safe_load((ROOT / "docs/monitoring/alerts.yml").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def existing() -> dict[str, str]:
    """Return the label of every metric, by each name that Prometheus stores."""
    names: dict[str, str] = {}
    for meter in meters.EVERY_METER:
        for suffix in ("_bucket", "_sum", "_count") if meter.is_time else ("_total",):
            names[f"securecore_{meter.name}{suffix}"] = meter.label
    return names | {f"securecore_{gauge.name}": gauge.label for gauge in state.read()}


def test_dashboard_and_alerts_name_metrics_labels_and_values_that_exist() -> None:
    names, used = existing(), set()
    known = {
        "code": set(re.findall(r"^## ([a-z-]+)$", (ROOT / "docs/reference/problems.md").read_text(), re.MULTILINE)),
        "days_left": {"0", "7", "30", "90", "+Inf"},
        "result": {"leased", "read"},
    }
    for expression in expressions():
        for name, selector in re.findall(r"\b(securecore_\w+)(?:\{([^}]*)\})?", expression):
            assert name in names, expression
            used.add(name)
            for label, value in re.findall(r'(\w+)=~?"([^"]*)"', selector):
                assert label in (names[name], "le"), expression
                if label == "event":
                    assert set(value.split("|")) <= {event.name for event in every_event()}, expression
                elif label in known:
                    assert value in known[label], expression
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            assert set(labels.split(", ")) <= {"le", *names.values()}, expression
    counted = {name.removesuffix("_bucket") for name in used}
    assert {name for name in names if not name.endswith(("_sum", "_count"))} <= used | {f"{x}_bucket" for x in counted}


def test_each_alert_has_a_runbook_that_speaks_of_it() -> None:
    """Three o'clock at night: the address in the page leads to the commands."""
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    rules = yaml.safe_load((ROOT / "docs/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) > 9
    for rule in rules:
        address, name = rule["annotations"]["runbook_url"], rule["alert"]
        prefix, _, page = address.partition("/docs/runbooks/")
        assert prefix == source, name
        text = (ROOT / "docs" / "runbooks" / page).read_text()
        code = re.findall(r'code="([a-z-]+)"', rule["expr"])
        events = re.findall(r"securecore\.\w+\.[a-z-]+", rule["expr"])
        spoken_of = [*events, *(f"`{each}`" for each in code)] or ([name] if "by (code)" not in rule["expr"] else [])
        assert all(each in text for each in spoken_of), name


def test_manual_lists_every_metric() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    listed = set(re.findall(r"^\| `(securecore_\w+)`", page, re.MULTILINE))
    assert listed == {name.removesuffix("_bucket") for name in existing() if not name.endswith(("_sum", "_count"))}
