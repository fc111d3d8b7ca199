"""Parse thumbprints on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from securecore.thumbprints import thumbprint_in


class ThumbprintParser(CommandParser):
    """The ``parser_class`` of an action with thumbprint arguments.

    One thumbprint in 64 begins with a ``-``, and argparse would read it as an option. No option of Django or securecore
    has 43 such characters.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        # argparse reads no argument with a leading space as an option; `thumbprint` strips the space.
        shielded = [f" {text}" if text.startswith("-") and thumbprint_in(text) else text for text in args or ()]
        return super().parse_known_args(shielded, namespace)


#: The ``type`` of an argument that may be a thumbprint, in an action parsed by ThumbprintParser.
thumbprint = str.strip
