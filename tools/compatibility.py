"""Write the tables of user models and settings in docs/compatibility.md, from a run of every project.

    python -m tools.compatibility

The program runs each project of tests/projects on SQLite and on a PostgreSQL of its own, and takes about three minutes.
It writes nothing if a promise does not hold. tests/projects compares each row with a run of its project.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.projects.catalogue import Project, results, settings, users
from tests.support.postgres import server

PAGE = Path(__file__).resolve().parents[1] / "docs" / "compatibility.md"
BEGIN, END = "<!-- {}: written by python -m tools.compatibility -->", "<!-- end of {} -->"
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
NOT_RUN = "-"
#: The cells of a project, by database and way of DJANGO_PERMISSIONS.
Cells = dict[tuple[str, str], str]


def headings(projects: list[Project]) -> list[tuple[str, str]]:
    return [(database, way) for database in DATABASES for way in projects[0].ways]


def row(project: Project, cells: Cells, columns: list[tuple[str, str]]) -> str:
    """Return the row of a project: its name, its description, and a cell for each database and way."""
    shown = [cells.get(column, NOT_RUN) for column in columns]
    return f"| `{project.name.partition('/')[2]}` | {_sentence(project.said)} | {' | '.join(shown)} |"


def cells_of(project: Project) -> Cells:
    """Return the cells that the page has for a project; none for a project without a row."""
    columns = headings([project])
    for line in PAGE.read_text().splitlines():
        name, _, *shown = [cell.strip() for cell in line.strip("|").split(" | ")] if " | " in line else ["", ""]
        if name == f"`{project.name.partition('/')[2]}`" and len(shown) == len(columns):
            return dict(zip(columns, shown, strict=True))
    return {}


def table(projects: list[Project], cells: dict[str, Cells]) -> str:
    columns = headings(projects)
    with_permissions = [
        f"{DATABASES[database]}{', DJANGO_PERMISSIONS' if way == 'on' else ''}" for database, way in columns
    ]
    first = "user model" if len(projects[0].ways) > 1 else "settings"
    head = f"| {first} | which is | {' | '.join(with_permissions)} |\n|{'---|' * (2 + len(columns))}"
    return "\n".join([head, *(row(project, cells[project.name], columns) for project in projects)])


def with_tables(page: str, tables: dict[str, str]) -> str:
    for name, text in tables.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


def _sentence(said: str) -> str:
    return said.replace("``", "`").removesuffix(".")


def _run(database: str, projects: list[Project]) -> dict[str, Cells]:
    here = [project for project in projects if database in project.databases]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ran = list(threads.map(results, here))
    return {
        project.name: {(database, way): cell for way, cell in cells.items()}
        for project, cells in zip(here, ran, strict=True)
    }


def main() -> int:
    every = [*users(), *settings()]
    if missing := sorted({module for project in every for module in project.lacks}):
        print(f"Install {', '.join(missing)} of the extra test.", file=sys.stderr)
        return 1
    os.environ.pop("TEST_DATABASE_URL", None)
    ran = [_run("sqlite", every)]
    with server() as postgres:
        os.environ["TEST_DATABASE_URL"] = postgres.url
        ran.append(_run("postgresql", every))
    cells = {project.name: {k: v for each in ran for k, v in each.get(project.name, {}).items()} for project in every}
    tables = {"user models": table(users(), cells), "settings": table(settings(), cells)}
    PAGE.write_text(with_tables(PAGE.read_text(), tables))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
