from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str]]:
    """`init("--development")` runs the command with the folder deploy; returns its output and its errors."""
    monkeypatch.chdir(tmp_path)

    def init(*options: str) -> tuple[str, str]:
        printed, said = io.StringIO(), io.StringIO()
        call_command("securecore_init", "deploy", *options, stdout=printed, stderr=said)
        return printed.getvalue(), said.getvalue()

    return init
