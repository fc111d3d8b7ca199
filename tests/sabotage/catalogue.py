"""Every sabotage, and the test that must notice it.

A test that cannot fail proves nothing. For each promise of the project there is at least one entry: the smallest change
that breaks it, and the test that turns red. `make sabotage` tries them all; `find` must stand exactly once in `file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """`find` in `file` becomes `replace`, which breaks `promise`; the pytest node `test` must fail on `database`."""

    name: str
    promise: str
    file: str
    find: str
    replace: str
    test: str
    database: Literal["sqlite", "postgresql"] = "sqlite"


CATALOGUE: tuple[Sabotage, ...] = (
    Sabotage(
        name="a layer is bypassed",
        promise="imports point down only",
        file="securecore/digests.py",
        find="from __future__ import annotations\n",
        replace="from __future__ import annotations\n\nimport securecore.db\n",
        test="tests/structure/test_imports.py::test_contracts_are_kept",
    ),
)
