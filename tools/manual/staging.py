"""Copy the pages of the manual into one folder for Sphinx."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: Pages beside docs/ that belong to the site.
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
_SECTION = re.compile(r"^## (.+)\n\n((?:\* .*\n(?:  .*\n)*)+)", re.M)


def stage(folder: Path) -> None:
    """Replace ``folder`` by the pages, their pictures, and the files of the repository to which they link."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder)
    shutil.copy(Path(__file__).with_name("conf.py"), folder)
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    for page in folder.rglob("*.md"):
        is_beside = page.parent == folder and page.name in BESIDE
        page.write_text(_linked(page, ROOT / page.name if is_beside else DOCS / page.relative_to(folder), folder))
    decisions = folder / "decisions" / "README.md"
    decisions.write_text(decisions.read_text() + "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n")
    index = folder / "index.md"
    index.write_text(index.read_text() + contents(index.read_text(), folder))


def contents(index: str, folder: Path) -> str:
    """Return the tables of contents that make the navigation, from the lists of the index.

    Pages that no list names come last, so that a new page is never lost.
    """
    sections = {
        title: [name.removesuffix(".md") for _, name, _ in _LINK.findall(links)]
        for title, links in _SECTION.findall(index)
    }
    listed = {name for names in sections.values() for name in names}
    pages = {str(page.relative_to(folder).with_suffix("")) for page in folder.rglob("*.md")}
    decisions = {name for name in pages if name.startswith("decisions/")}
    rest = sorted(pages - listed - decisions - {"index"})
    sections["Explanation"] += [name for name in rest if name + ".md" not in BESIDE]
    sections["Project"] = [name.removesuffix(".md") for name in BESIDE]
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(names) + "\n```\n"
        for title, names in sections.items()
    )


def _linked(page: Path, original: Path, folder: Path) -> str:
    """Return the page with links that work in the site."""

    def target(found: re.Match[str]) -> str:
        path = (original.parent / found[2]).resolve()
        if path.is_relative_to(DOCS) or not path.exists():
            here = folder / path.relative_to(DOCS) if path.is_relative_to(DOCS) else None
            return found[0] if here is None else f"{found[1]}{_relative(here, page)}{found[3]}"
        if path.name in BESIDE and path.parent == ROOT:
            return f"{found[1]}{_relative(folder / path.name, page)}{found[3]}"
        return f"{found[1]}{_relative(_copied(path, folder), page)})"

    return _LINK.sub(target, original.read_text())


def _copied(path: Path, folder: Path) -> Path:
    """Copy a file of the repository, or the list of a folder, to a text file of the site."""
    copied = folder / "files" / f"{path.relative_to(ROOT)}.txt"
    copied.parent.mkdir(parents=True, exist_ok=True)
    is_folder = path.is_dir()
    copied.write_text("\n".join(sorted(each.name for each in path.iterdir())) if is_folder else path.read_text())
    return copied


def _relative(path: Path, page: Path) -> str:
    return os.path.relpath(path, page.parent)
