"""Build a release, check it, and say how to publish it: ``make release``. Nothing is uploaded and no tag is made.

    python -m tools.release                # the release of the present version; refuses a tree that is not ready
    python -m tools.release --rehearsal    # the same from a tree that is not ready

dist/ then has a wheel and an sdist of each distribution, ``SHA256SUMS``, ``sbom.cdx.json`` (CycloneDX) and
``provenance.intoto.json`` (SLSA: in-toto statement with the commit of each file).
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import securecore

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
VERSION = securecore.__version__
#: The folder of each distribution's pyproject.toml, in the order in which they are published.
FOLDERS = ("client", "scanner", ".")
_TOOLS = Path(sys.executable).parent


def main() -> int:
    """Build everything. Return 1 and the reasons if the tree is not ready."""
    parser = argparse.ArgumentParser(description="Build and check a release. Uploads nothing.")
    parser.add_argument("--rehearsal", action="store_true", help="also from a tree that is not ready")
    reasons = unready()
    if reasons and not parser.parse_args().rehearsal:
        print("Not ready for a release:", *reasons, sep="\n  ", file=sys.stderr)
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    built = build(DIST)
    run(str(_TOOLS / "twine"), "check", "--strict", *map(str, built))
    write_sbom(built, DIST / "sbom.cdx.json")
    (DIST / "SHA256SUMS").write_text("".join(f"{digest(file)}  {file.name}\n" for file in built))
    statement = provenance(built, commit=git("rev-parse", "HEAD"), now=dt.datetime.now(dt.UTC))
    (DIST / "provenance.intoto.json").write_text(json.dumps(statement, indent=2) + "\n")
    print(next_steps())
    return 0


def unready() -> list[str]:
    """Return the reasons against a release from this tree."""
    reasons = []
    if git("status", "--porcelain"):
        reasons.append("git status is not clean: commit, so that the provenance names the files.")
    if git("tag", "--list", f"v{VERSION}"):
        reasons.append(f"the tag v{VERSION} exists: raise __version__ in securecore/__init__.py.")
    if not re.search(rf"^## {re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.M):
        reasons.append(f"CHANGELOG.md has no heading '## {VERSION} (YEAR-MONTH-DAY)'.")
    if not (ROOT / "docs" / "releases" / f"{VERSION}.md").exists():
        reasons.append(f"docs/releases/{VERSION}.md is missing: the notes of the release.")
    if "example.org" in (ROOT / "pyproject.toml").read_text():
        reasons.append(
            "project.urls in pyproject.toml is a placeholder: put the repository's address there, and into the hook."
        )
    return reasons


def build(folder: Path) -> list[Path]:
    """Build each distribution into ``folder``. The instant of the commit makes two builds equal, byte by byte."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct")}
    for project in FOLDERS:
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT / project, env=environ, check=True)
    return sorted(file for file in folder.iterdir() if file.suffix in (".whl", ".gz"))


def write_sbom(built: list[Path], path: Path) -> None:
    """Install the wheels into a new environment, and list everything that is in it."""
    environment = ROOT / "var" / "release"
    venv.create(environment, clear=True, with_pip=True)
    wheels = [str(file) for file in built if file.suffix == ".whl"]
    python = str(environment / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels)
    options = ["--output-format", "JSON", "--output-file", str(path), "--pyproject", str(ROOT / "pyproject.toml")]
    run(str(_TOOLS / "cyclonedx-py"), "environment", *options, python)


def provenance(built: list[Path], *, commit: str, now: dt.datetime) -> dict[str, object]:
    """Return the statement of the files, of the commit and of the builder (https://slsa.dev/spec/v1.0/provenance)."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": digest(file)}} for file in built],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "tools/release.py",
                "externalParameters": {"version": VERSION},
                "resolvedDependencies": [{"uri": "git+.", "digest": {"gitCommit": commit}}],
            },
            "runDetails": {
                "builder": {"id": f"make release, Python {sys.version.split()[0]}"},
                "metadata": {"finishedOn": now.isoformat(timespec="seconds")},
            },
        },
    }


def digest(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def next_steps() -> str:
    """Return the commands that publish, for a person after a look at dist/."""
    return f"""
Built in dist/. To publish, after a look at it:
  git tag -s v{VERSION} -F docs/releases/{VERSION}.md && git push origin v{VERSION}
  {_TOOLS.relative_to(ROOT) if _TOOLS.is_relative_to(ROOT) else _TOOLS}/twine upload dist/*.whl dist/*.tar.gz
  attach SHA256SUMS, sbom.cdx.json and provenance.intoto.json to the release of the tag"""


def git(*arguments: str) -> str:
    """Return the output of git in this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def run(*command: str) -> None:
    """Run a program, and stop if it fails."""
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
