"""The OpenAPI document of the demo agrees with the demo, as schemathesis sees it: with all its default checks but one.

That one, ``ignored_auth``, sends a request without its credentials and expects a refusal. Its credentials are headers
and cookies, and the credential here is the certificate of the connection.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from demo_project.stack import Stack

#: For each operation. The document decides how many requests the coverage phase adds.
EXAMPLES = 3


@pytest.fixture
def allowed(open_client: Callable[..., httpx.Client]) -> Iterator[None]:
    """Let carol, an administrator, also transfer: so one run reaches each operation. No other test uses her money."""
    order, carol = {"principal": "carol", "permission": "transfers.create"}, open_client("carol")
    assert carol.post("/api/admin/grants/grant", json=order).status_code == 200
    yield
    assert carol.post("/api/admin/grants/revoke", json=order).status_code == 200


@pytest.mark.usefixtures("allowed")
def test_document_agrees_with_service(stack: Stack, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.url}/api/schema"),
        *("--tls-verify", str(stack.pki / "ca.pem")),
        *("--request-cert", str(stack.pki / "carol.pem"), "--request-cert-key", str(stack.pki / "carol.key")),
        *("--exclude-checks", "ignored_auth", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
        # A generated token is a 401 before anything else of the request is read.
        *("--generation-with-security-parameters", "false", "--continue-on-failure", "--no-color"),
    ]
    environ = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.acceptance.schemathesis_hooks",
        "DEMO_VAR": str(stack.var),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    # A document without operations would agree with each service, and so would a document of refusals alone.
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) >= 20, done.stdout
    log = (stack.var / "log" / "access.log").read_text()
    for path in ("transfers", "payouts", "payouts/signed", "vouchers"):
        assert f'"POST /api/{path} HTTP/1.1" 201 ' in log, path
