"""The pages of the manual as programs: their shell blocks in one terminal, and their expected output."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.tree import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.S | re.M)
_MARK = "--- end of block"


@dataclass(frozen=True)
class Block:
    """A shell block, and the text block behind it: the output, in which ``...`` stands for anything."""

    commands: str
    expected: str

    def matches(self, printed: str) -> bool:
        pattern = ".*".join(map(re.escape, self.expected.strip().split("...")))
        return re.fullmatch(pattern, printed.strip(), re.S) is not None


def shell_blocks(page: str) -> list[Block]:
    """Return the shell blocks of a page of docs/."""
    return [Block(commands, expected) for commands, expected in _BLOCK.findall((ROOT / "docs" / page).read_text())]


def run_blocks(blocks: list[Block], folder: Path, *, environ: dict[str, str]) -> list[str]:
    """Paste ``blocks`` into one bash in ``folder``; return the output of each. A line that fails ends the run."""
    script = "set -e\n" + "\n".join(f"{block.commands}\necho '{_MARK}'" for block in blocks)
    # The output goes into a file: a program in the background would keep a pipe open.
    with (folder / "output").open("w+") as output, (folder / "errors").open("w") as errors:
        run = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            timeout=600,  # on a machine with much other work
            check=False,
        )
        output.seek(0)
        printed = output.read().split(_MARK + "\n")
    assert run.returncode == 0, printed[-1] + (folder / "errors").read_text()[-4000:]
    return printed[:-1]


def settings_below(page: str, heading: str) -> str:
    """Return the lines for settings.py that a page of docs/ shows below the heading that begins so."""
    section = re.search(rf"^## {re.escape(heading)}.*?(?=^## |\Z)", (ROOT / "docs" / page).read_text(), re.S | re.M)
    assert section, f"{page} has no heading {heading!r}"
    return "\n".join(re.findall(r"^```python\n# settings\.py\n(.*?)^```", section[0], re.S | re.M))
