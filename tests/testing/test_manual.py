"""The example of docs/testing.md for Django's test runner, as it is printed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.tree import ROOT

_PAGE = (ROOT / "docs/testing.md").read_text()
_EXAMPLE: dict[str, Any] = {}
exec(re.findall(r"^## With Django's test runner\n.*?^```python\n(.*?)^```", _PAGE, re.S | re.M)[0], _EXAMPLE)

#: The test case of the example. Its name begins with "Test", and no other name of the module is collected.
TestExample = pytest.mark.urls("tests.testing.urls")(type("TestExample", (_EXAMPLE["TransferTests"],), {}))
