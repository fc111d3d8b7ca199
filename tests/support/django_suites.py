"""Django's own tests of sessions, login, CSRF and messages, with securecore's engine in place of Django's.

    python -m tests.support.django_suites [LABEL...]

The tests come from Django's source distribution, in the installed version, which is fetched once into var/.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "var" / "django"
LABELS = ("sessions_tests", "auth_tests", "csrf_tests", "messages_tests")


def source() -> Path:
    """Return the folder of the installed Django's tests, fetched at the first use."""
    version = django.get_version()
    archive = CACHE / f"django-{version}.tar.gz"
    if not archive.exists():
        command = ["-m", "pip", "download", "-q", "--no-deps", "--no-binary", "Django", f"Django=={version}"]
        subprocess.run([sys.executable, *command, "-d", str(CACHE)], check=True)
    folder = CACHE / archive.name.removesuffix(".tar.gz") / "tests"
    if not folder.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(CACHE, filter="data")
    return folder


def main(labels: Sequence[str]) -> int:
    tests = source()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tests)])}
    command = [sys.executable, "runtests.py", "--settings=tests.support.django_settings", "--parallel=1", "--noinput"]
    return subprocess.run([*command, *(labels or LABELS)], cwd=tests, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
