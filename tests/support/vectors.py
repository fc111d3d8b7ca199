"""Published test vectors. They lie beside the repository; a test that needs them is skipped, by name, without them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.tree import ROOT

FOLDER = ROOT.parent / "shared" / "vectors"


def load(name: str) -> Any:
    """The vectors in the file `name`."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the published vectors ../shared/vectors/{name} are missing", allow_module_level=True)
    return json.loads(path.read_text())
