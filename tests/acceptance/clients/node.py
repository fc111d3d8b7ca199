"""Node, its packages, and the run of one library through all scenarios of scenarios.mjs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from demo_project.stack import BASE_DIR, Stack

#: The libraries. The script of each name adapts its library to the interface that scenarios.mjs calls.
LIBRARIES = ("oauth4webapi", "openid-client")
HERE = Path(__file__).parent
#: undici 7 needs this version of Node.
OLDEST_NODE = (20, 18, 1)
#: Seconds. An installation takes two, the run of a library two more.
INSTALL_TIMEOUT, RUN_TIMEOUT = 120, 120

#: Scenario to its result, or to ``{"error": ...}`` if the library gave up.
Report = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Node:
    """A Node binary, and the folder that holds its ``node_modules``."""

    binary: str
    packages: Path

    def drive(self, library: str, *, stack: Stack, demanding: Stack, backoffice: str) -> Report:
        """Run every scenario with ``library``, and return the results."""
        where = {
            "plain": {"url": stack.url, "pki": str(stack.pki)},
            "demanding": {"url": demanding.url, "pki": str(demanding.pki)},
            "backoffice": backoffice,
        }
        with tempfile.TemporaryDirectory(prefix="securecore-node-") as folder:
            # An ES module finds packages only in its own folder or in one above.
            for script in HERE.glob("*.mjs"):
                shutil.copy(script, folder)
            (Path(folder) / "node_modules").symlink_to(self.packages / "node_modules")
            command = [self.binary, "scenarios.mjs", library, json.dumps(where)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["scenario"]: line["met"] for line in lines}


def prepared_node() -> Node:
    """Return Node from PATH with the packages of package.json, installed once into var."""
    binary, npm = shutil.which("node"), shutil.which("npm")
    if not binary or not npm:
        _unavailable("no node and npm on PATH")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < OLDEST_NODE:
        _unavailable(f"node {version.strip()} is too old, {'.'.join(map(str, OLDEST_NODE))} is needed")
    wanted = (HERE / "package.json").read_bytes()
    packages = BASE_DIR / "var" / f"node-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not packages.exists():
        _install(npm, packages)
    return Node(binary, packages)


def _install(npm: str, packages: Path) -> None:
    packages.parent.mkdir(mode=0o700, exist_ok=True)
    # Installed beside its place and then moved, so that another process finds the whole folder or none.
    with tempfile.TemporaryDirectory(prefix="node-", dir=packages.parent) as folder:
        unfinished = Path(folder) / "packages"
        unfinished.mkdir()
        shutil.copy(HERE / "package.json", unfinished)
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        try:
            done = subprocess.run(
                command, cwd=unfinished, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            _unavailable(f"npm did not install the packages within {INSTALL_TIMEOUT} s")
        if done.returncode:
            _unavailable(f"npm cannot install the packages: {done.stderr.strip()[-500:]}")
        if not packages.exists():
            unfinished.rename(packages)


def _unavailable(reason: str) -> NoReturn:
    message = f"THE CLIENTS FROM NPM DID NOT RUN: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
