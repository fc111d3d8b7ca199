"""Write the table "I want to ..." of CONTRIBUTING.md: for each change the file where it begins.

    python -m tools.places            # write the table
    python -m tools.places --check    # exit code 1 if the table is out of date

An entry names the first line of a definition, and the program finds the file. So a moved file needs no change here, and
a missing line is an error. tests/structure/test_places.py compares the table with the tree.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- places: written by python -m tools.places -->", "<!-- end of places -->"
FOLDERS = ("securecore", "client", "scanner", "tests", "tools")


@dataclass(frozen=True)
class Place:
    """A row of the table. ``line`` begins a line in exactly one file; ``hint`` names the rest of the change."""

    wish: str
    line: str
    hint: str

    @property
    def symbol(self) -> str:
        """Return the name that the line defines."""
        return re.sub(r"^(class|def) ", "", self.line.strip(' "')).partition(" ")[0].rstrip('(":').partition("(")[0]


PLACES = (
    Place(
        "add a proxy",
        "SOURCES = {",
        "a function from headers to a certificate; its name also in `_CHOICES` of securecore/conf.py, its header also "
        "in `IDENTITY_PREFIXES`, proxied.conf and docs/proxies/; `tests/identity` finds a place that lacks one",
    ),
    Place(
        "trust a peer, strip a header",
        "IDENTITY_PREFIXES = (",
        "and the same header in proxied.conf",
    ),
    Place(
        "add a setting",
        "class Settings:",
        "one field with its reason; its check in `_validate`; a row in docs/settings.md",
    ),
    Place(
        "change the lock timeout",
        "    LOCK_TIMEOUT: float",
        "its default; docs/settings.md, proxied.conf and the comment at `_PAUSE` in grants/gate/eviction.py "
        "contain numbers that follow from it",
    ),
    Place("see where a lock timeout is set", "def limit_waits(", "`lock_timeout`, to the end of the transaction"),
    Place("add a refusal", "class Refused(", "a subclass with `code`, `status`, `title`"),
    Place(
        "add an event",
        "class Event:",
        "a subclass with its payload as fields, and a call of `emit`; tests/events/test_secrets.py causes or lists it",
    ),
    Place(
        "add a system check", "def register() -> None:", "one function for each id, in the module of its area beside it"
    ),
    Place("find where a nonce expires", "def claim(record: uuid.UUID", "`expires_at`: timestamp, window, skew, 1 s"),
    Place("find where expired rows are deleted", "def expiring(", "one entry for each table that grows"),
    Place("change a claim", "class ClaimStatement:", "`INSERT ... ON CONFLICT ... RETURNING`"),
    Place("seal the audit", "def seal() -> int:", "`verify` beside it checks the chain"),
    Place("claim an idempotency key", "LEASED_CLAIM = ", "`claim` and `store` below it; `keys.py` parses the header"),
    Place("change a function of PostgreSQL", "class Function:", "and the list in server_functions.py"),
    Place(
        "let a test run on one database",
        "ONLY_ON_SQLITE = {",
        "with the reason; `IN_PROCESSES` of the Makefile sets the number of processes",
    ),
    Place("change the one query", "def every_query(", "and docs/caller.md; a query count is asserted in the tests"),
    Place(
        "find where the caller is decided",
        "def caller_of(request: AnyRequest)",
        "`choose` in caller/credential_table.py chooses the credential; docs/callers.md explains its table",
    ),
    Place(
        "find where `@requires` takes its lock",
        "def _read_behind_gates(",
        "`requires` calls `allowed`, and `allowed` calls `decide`, beside it; `gate.enter` locks",
    ),
    Place(
        "find the checks before a replay",
        "def repeat_checks(",
        "`recorded_checks` beside it records them; each check outside the handler runs as for the first request",
    ),
    Place("change the gate", "class Gates(", "read the notes in `__init__.py` beside it first; then `tests/races`"),
    Place("add a revocation", "def revoke_grant(", "one committed transaction; add it to the races"),
    Place("close the gate for another table", "def every_rule(", "a trigger rule for PostgreSQL and SQLite"),
    Place("change a decorator for views", "def requires(", "the others stand beside it"),
    Place("change a REST framework view", "class GrantedView", "permissions and mixins"),
    Place("change the refresh of a token", "class Redeemed", "rotation, retry, reuse"),
    Place("decide which responses are stored", "_NOT_FINAL = {", "and the table in docs/idempotency.md"),
    Place("pass a value between parts of `http/`", "class RequestState", "a field for each value"),
    Place("change a response to a refusal", "def problem_response(", "RFC 9457"),
    Place("change which requests a client repeats", "class Retry:", "and the table in docs/client.md"),
    Place("change a proof of the client", "class Proof(Protocol):", "its check is in securecore/replay/"),
    Place("change a session's life", "class SessionLifecycle(", "and `make test-django`"),
    Place(
        "see the settings of the tests",
        '    "TOKEN_ISSUER": "https://testserver"',
        "`TEST_DATABASE_URL` names the database",
    ),
    Place("try another promise of a deployment", "EVERY_TRIAL = (", "a module beside it; a section in docs/prove.md"),
    Place("start a PostgreSQL for a test", "def server(**options: str)", "kill, restart, become a standby"),
    Place("add a page to the manual", "def contents(index", "a line in docs/index.md; `make docs` builds the site"),
    Place("write the reference", "PAGES = {", "a module for each page beside it; problems.toml for the codes"),
    Place(
        "change the files of a deployment",
        "def planned_files(",
        "the files are in the folder of the module; the quickstart runs them",
    ),
    Place("change the pasted settings", "def settings_block(", "and the functions of securecore/settings.py"),
    Place("break a promise on purpose", "def load() -> tuple[Sabotage", "an entry in a `.toml` file beside it"),
)


def table() -> str:
    """Return the table for the present tree. Raises ``LookupError`` for a line that is missing or not unique."""
    sources = {path: path.read_text().splitlines() for path in _sources()}
    rows = []
    for place in PLACES:
        paths = [path for path, lines in sources.items() if any(line.startswith(place.line) for line in lines)]
        if len(paths) != 1:
            raise LookupError(f"{place.wish!r}: {place.line!r} begins a line of {len(paths)} files, not of one")
        rows.append(f"| {place.wish} | `{paths[0].relative_to(ROOT).as_posix()}`, `{place.symbol}` | {place.hint} |")
    return "\n".join(["| I want to ... | begin in | |", "|---|---|---|", *rows])


def _sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def page() -> str:
    """Return the text of CONTRIBUTING.md with the present table."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write the table, or with --check compare it."""
    parser = argparse.ArgumentParser(description="Write the table of places in CONTRIBUTING.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the table is out of date")
    is_check = parser.parse_args().check
    if not is_check:
        PAGE.write_text(page())
    return int(is_check and PAGE.read_text() != page())


if __name__ == "__main__":
    raise SystemExit(main())
