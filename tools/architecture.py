"""Draw docs/architecture.svg from the import contracts of pyproject.toml.

    python -m tools.architecture            # write the picture
    python -m tools.architecture --check    # exit code 1 if the picture is out of date

Each contract of type ``layers`` becomes a stack of rows. A row is a layer. A box is a module or package, with the first
sentence of its docstring and its rooms (subpackages). The layout is read from the contracts and the tree, so a moved
module needs no change here. tests/structure/test_architecture.py compares the picture with the tree.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import textwrap
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"

COLUMNS = 3  # at most
WIDTH, GAP, MARGIN, ARROW = 940, 12, 16, 34  # widths and distances, in pixels
NAME_LINE, TEXT_LINE, PADDING = 20, 16, 10  # heights
PIXELS = 6.6  # of a character of 12-pixel text, on average
MONOSPACED = 7.4

STYLE = """
  .paper { fill: #ffffff } .layer { fill: #eef2f6 } .box { fill: #ffffff; stroke: #9aa5b1 }
  text { font-family: sans-serif; font-size: 12px; fill: #3e4c59 }
  .title { font-size: 16px; font-weight: bold; fill: #1f2933 }
  .name { font-family: monospace; font-size: 14px; font-weight: bold; fill: #0b6e69 }
  .rooms { font-family: monospace; font-size: 12px; fill: #52606d } .arrow { stroke: #52606d; fill: none }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #12181f } .layer { fill: #1c2630 } .box { fill: #12181f; stroke: #52606d }
    text { fill: #cbd2d9 } .title { fill: #f5f7fa } .name { fill: #5fd3cc } .rooms { fill: #9aa5b1 }
    .arrow { stroke: #9aa5b1 }
  }
"""


@dataclass(frozen=True)
class Box:
    """One module or package of a layer."""

    name: str
    sentence: str
    rooms: tuple[str, ...]

    def lines(self, width: int) -> list[tuple[str, str]]:
        """Return the lines of text below the name in a box this wide, each with its style class."""
        inside = " ".join(f"{room}/" for room in self.rooms)
        described = [("text", line) for line in textwrap.wrap(self.sentence, int((width - 20) / PIXELS))]
        return described + [("rooms", line) for line in textwrap.wrap(inside, int((width - 20) / MONOSPACED))]

    def height(self, width: int) -> int:
        """Return how tall a box this wide must be."""
        return NAME_LINE + TEXT_LINE * len(self.lines(width)) + PADDING


@dataclass(frozen=True)
class Stack:
    """The layers of one container, the highest first."""

    title: str
    layers: tuple[tuple[Box, ...], ...]


def stacks(pyproject: dict[str, Any]) -> list[Stack]:
    """Return a stack for each container of each ``layers`` contract."""
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    return [
        Stack(
            f"{container}: {contract['name']}" if container else contract["name"],
            tuple(tuple(_box(container, module) for module in modules_of(layer)) for layer in contract["layers"]),
        )
        for contract in contracts
        if contract["type"] == "layers"
        for container in contract.get("containers", [""])
    ]


def modules_of(layer: str) -> list[str]:
    """Return the module names of a layer: "a | b", "a : b" and the optional "(a)" are import-linter's spellings."""
    return [name.strip(" ()") for name in re.split(r"[|:]", layer)]


def _box(container: str, module: str) -> Box:
    path = _folder_of(f"{container}.{module}" if container else module)
    if not path.is_dir():
        return Box(module, first_sentence(path.with_suffix(".py").read_text()), ())
    rooms = sorted(inner.parent.name for inner in path.glob("*/__init__.py"))
    return Box(f"{module}/", first_sentence((path / "__init__.py").read_text()), tuple(rooms))


def _folder_of(module: str) -> Path:
    """Return the path of a module without its suffix. The package may lie in a folder of its own distribution."""
    package, _, rest = module.partition(".")
    around = next(folder.parent for folder in (ROOT / package, *ROOT.glob(f"*/{package}")) if folder.is_dir())
    return around.joinpath(package, *rest.split(".")) if rest else around / package


def first_sentence(source: str) -> str:
    """Return the first sentence of a module's docstring, without its markup."""
    paragraph = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")[0]
    plain = " ".join(paragraph.replace("``", "").split())
    sentence = re.match(r".+?[.:!?](?=\s+[A-Z]|$)", plain)
    return (sentence[0] if sentence else plain).rstrip(".:")


def drawing(every: list[Stack]) -> str:
    """Return the SVG of these stacks, one below the other."""
    body: list[str] = []
    top = MARGIN
    for stack in every:
        body.append(f'<text class="title" x="{MARGIN}" y="{top + 16}">{escape(stack.title)}</text>')
        begins = top = top + 30
        for layer in stack.layers:
            drawn, height = _layer(layer, top)
            body += drawn
            top += height + GAP
        body.append(_arrow(begins, top - GAP))
        top += GAP
    label = escape("; ".join(stack.title for stack in every), quote=True)
    size = f'width="{ARROW + WIDTH + MARGIN}" height="{top}"'
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {ARROW + WIDTH + MARGIN} {top}" role="img" '
        f'aria-label="{label}">'
    )
    return "\n".join([opening, f"<style>{STYLE}</style>", f'<rect class="paper" {size} rx="6"/>', *body, "</svg>", ""])


def _layer(boxes: tuple[Box, ...], top: int) -> tuple[list[str], int]:
    """Return a layer's elements and its height."""
    rows = math.ceil(len(boxes) / COLUMNS)
    columns = math.ceil(len(boxes) / rows)  # four boxes are two rows of two
    width = (WIDTH - GAP) // columns - GAP
    lines, y = [], top + GAP
    for row in (boxes[start : start + columns] for start in range(0, len(boxes), columns)):
        height = max(box.height(width) for box in row)
        for column, box in enumerate(row):
            lines += _drawn(box, ARROW + GAP + column * (width + GAP), y, width, height)
        y += height + GAP
    band = f'<rect class="layer" x="{ARROW}" y="{top}" width="{WIDTH}" height="{y - top}" rx="6"/>'
    return [band, *lines], y - top


def _drawn(box: Box, x: int, y: int, width: int, height: int) -> list[str]:
    drawn = [
        f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>',
        f'<text class="name" x="{x + 10}" y="{y + NAME_LINE - 2}">{escape(box.name)}</text>',
    ]
    for number, (style, line) in enumerate(box.lines(width), 1):
        drawn.append(
            f'<text class="{style}" x="{x + 10}" y="{y + NAME_LINE + TEXT_LINE * number - 2}">{escape(line)}</text>'
        )
    return drawn


def _arrow(top: int, bottom: int) -> str:
    x = ARROW // 2
    return f'<path class="arrow" d="M{x} {top} V{bottom} m-5 -9 l5 9 l5 -9"/>'


def picture() -> str:
    """Return the picture of the present tree."""
    return drawing(stacks(tomllib.loads((ROOT / "pyproject.toml").read_text())))


def main() -> int:
    """Write the picture, or with --check compare it."""
    parser = argparse.ArgumentParser(description="Draw docs/architecture.svg from the import contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the picture is out of date")
    is_check = parser.parse_args().check
    if not is_check:
        PICTURE.write_text(picture())
    return int(is_check and PICTURE.read_text() != picture())


if __name__ == "__main__":
    raise SystemExit(main())
