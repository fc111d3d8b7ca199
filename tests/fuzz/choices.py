"""Choices made by bytes: a fuzzer that changes bytes changes choices. After the last byte each choice is the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer at the end."""
        self._place += size
        return self._data[self._place - size : self._place]

    def below(self, limit: int) -> int:
        """Return a number from 0 to ``limit - 1``."""
        return int.from_bytes(self.take(1 if limit <= 256 else 3)) % limit

    def one(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def rarely(self, one_in: int) -> bool:
        """Say yes once in ``one_in`` times, and never when the bytes have ended."""
        return self.below(one_in) == one_in - 1

    def text(self, longest: int = 40) -> str:
        """Return characters that may stand in a header: any byte but CR and LF, which no server lets through."""
        found = self.take(self.below(longest + 1)).decode("latin-1")
        return found.replace("\r", " ").replace("\n", " ")

    def mutated(self, text: str) -> str:
        """Return ``text`` with one character changed, cut out or put in, or with a part said twice."""
        place = self.below(len(text) + 1)
        match self.below(4):
            case 0:
                return text[:place] + self.text(1) + text[place + 1 :]
            case 1:
                return text[:place] + self.text(8) + text[place:]
            case 2:
                return text[:place] + text[place + 1 + self.below(8) :]
            case _:
                return text[:place] + text[max(0, place - 16) :]
