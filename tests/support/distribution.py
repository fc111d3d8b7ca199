"""Which tests one worker of ``make test`` runs: those of a file, or of the files that share slow fixtures."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

#: Beginnings of node ids below tests/. The files of a line share fixtures that live as long as a worker, such as the
#: running demo or a database with certificates. Each worker that ran one of them would start processes of its own, at
#: about a second of processor time each.
TOGETHER = (
    ("acceptance/clients/",),
    ("acceptance/proxies/",),
    ("acceptance/test_fixation", "acceptance/test_page", "acceptance/test_protections", "acceptance/test_client"),
    (
        *("acceptance/test_callers_page", "acceptance/test_cross_site", "acceptance/test_identity"),
        *("acceptance/test_one_story", "acceptance/test_openapi_document", "acceptance/test_scan"),
    ),
)


class Distribution(LoadFileScheduling):  # type: ignore[misc]
    """pytest-xdist's ``--dist loadfile``, with the files of ``TOGETHER`` as one file each."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Return the name of the unit of work to which a test belongs."""
    below_tests = nodeid.removeprefix("tests/")
    return next((files[0] for files in TOGETHER if below_tests.startswith(files)), nodeid.partition("::")[0])


def distribution(config: Any, log: Any) -> Distribution | None:
    """Return the distribution for ``--dist loadfile``, and None for each other ``--dist``: for a hook of xdist."""
    return Distribution(config, log) if config.getoption("dist") == "loadfile" else None
