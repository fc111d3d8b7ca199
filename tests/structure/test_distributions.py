"""The three distributions: one version, and a client and a scanner that need no Django."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import securecore
from tests.support.distributions import FOLDERS, build_wheels, link_required
from tests.support.tree import ROOT, files, relative

PROJECTS: dict[str, dict[str, Any]] = {
    name: tomllib.loads((ROOT / folder / "pyproject.toml").read_text()) for name, folder in FOLDERS.items()
}

PROGRAM = """
import sys
from importlib.util import find_spec
from cryptography.hazmat.primitives.asymmetric import ec
import securecore_client.urllib
from securecore_client import DPoP, MessageSignature, TimestampNonce
from securecore_client.proofs import Outgoing

key, request = ec.generate_private_key(ec.SECP256R1()), Outgoing("POST", "https://pay.example/", {}, b"{}")
for proof in (TimestampNonce(), DPoP(key, "a.token"), MessageSignature(key, "k")):
    print(*proof.headers(request))
assert "site-packages" in securecore_client.__file__
assert not [name for name in ("django", "rest_framework", "securecore", "httpx", "requests") if find_spec(name)]
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the app, the client and the scanner, built from this tree."""
    return build_wheels(tmp_path_factory.mktemp("wheels"), *FOLDERS)


def test_readme_works_on_a_package_page(wheels: dict[str, Path]) -> None:
    """A package page resolves no relative link. So each begins with the address of the project, and leads to a file."""
    base = PROJECTS["securecore"]["project"]["urls"]["Source"]
    with zipfile.ZipFile(wheels["securecore"]) as wheel:
        [name] = [each for each in wheel.namelist() if each.endswith("METADATA")]
        links = re.findall(r"\]\(([^)\s#]+)", wheel.read(name).decode())
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link.removeprefix(f"{base}/")).is_file()]
    assert not [link for link in links if not link.startswith(f"{base}/")]


def test_one_version() -> None:
    assert all(
        project["tool"]["hatch"]["version"]["path"] == os.path.relpath(ROOT / "securecore/__init__.py", ROOT / folder)
        for project, folder in zip(PROJECTS.values(), FOLDERS.values(), strict=True)
    )
    needed = [each for each in PROJECTS["securecore"]["project"]["dependencies"] if each.startswith("securecore")]
    assert needed == [f"securecore-client=={securecore.__version__}"]


def test_same_versions_of_python() -> None:
    app, *others = (
        [
            project["project"]["requires-python"],
            *(each for each in project["project"]["classifiers"] if ":: Python" in each),
        ]
        for project in PROJECTS.values()
    )
    assert all(other == app for other in others)


def test_one_licence() -> None:
    assert len({(ROOT / folder / "LICENSE").read_text() for folder in FOLDERS.values()}) == 1


def test_every_project_is_installed_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"^.*--editable '\.\[(?:demo|demo,\w+)\]'.*$", makefile, re.MULTILINE):
        assert "--editable ./client --editable ./scanner" in line


def test_wheel_has_its_package_alone(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            files = archive.namelist()
        package = name.replace("-", "_")
        metadata = f"{package}-{securecore.__version__}.dist-info"
        assert {path.partition("/")[0] for path in files} == {package, metadata}
        assert {f"{package}/py.typed", f"{metadata}/licenses/LICENSE"} <= set(files)


def test_wheel_has_the_files_of_a_deployment(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["securecore"]) as archive:
        wheel = {name for name in archive.namelist() if name.startswith("securecore/installation/")}
    assert wheel == {relative(path) for path in files(under="securecore/installation")}


def test_client_signs_in_an_environment_of_its_own(wheels: dict[str, Path], tmp_path: Path) -> None:
    """The environment has the client's wheel, the packages that its metadata require, and nothing else."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    library = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(wheels["securecore-client"]) as archive:
        archive.extractall(library)
    [metadata] = library.glob("*.dist-info/METADATA")
    link_required(library, Parser().parsestr(metadata.read_text()).get_all("Requires-Dist") or [])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", PROGRAM], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "X-Request-Timestamp X-Request-Nonce",
        "DPoP Authorization",
        "Content-Digest Signature-Input Signature",
    ]
