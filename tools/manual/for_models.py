"""Write llms.txt, the list of the manual's pages for language models, and llms-full.txt, the pages themselves."""

from __future__ import annotations

import re
from pathlib import Path


def write(folder: Path) -> None:
    """Write both files into the staged ``folder``. The links lead to the Markdown of each page in the site."""
    index = (folder / "index.md").read_text().partition("\n```{toctree}")[0]
    title, _, rest = index.partition("\n\n")
    summary, _, lists = rest.partition("\n\n")
    listed = re.sub(r"\]\(([^)]+)\.md\)", r"](_sources/\1.md.txt)", lists).replace("\n* ", "\n- ")
    (folder / "llms.txt").write_text(f"{title}\n\n> {' '.join(summary.split())}\n\n{listed.strip()}\n")
    names = [folder / name for name in re.findall(r"\]\(([^)]+\.md)\)", lists)]
    (folder / "llms-full.txt").write_text("\n\n".join(name.read_text().strip() for name in names) + "\n")
