"""Fetch a revocation list by HTTP for a command. A list is signed, so plain HTTP is usual (RFC 5280 section 8)."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.core.management.base import CommandError

from securecore.texts import quoted_argument

#: Seconds without a byte, after which the command gives up.
_TIMEOUT = 30
#: Bytes: ten million entries of 40 bytes, and as much again.
LARGEST = 1 << 30
_PIECE = 1 << 20


@contextmanager
def local_file(source: str) -> Iterator[Path]:
    """Return the path of ``source``, a file, or an ``http:`` or ``https:`` address that is fetched to a temporary file.

    Raises ``CommandError`` for an address that cannot be fetched, and for more than a gigabyte.
    """
    if not source.lower().startswith(("http://", "https://")):
        yield Path(source)
        return
    with tempfile.NamedTemporaryFile() as file:
        try:
            with urllib.request.urlopen(source, timeout=_TIMEOUT) as response:  # noqa: S310 - http and https only
                _copy(response, file)
        except (OSError, ValueError) as error:  # URLError is an OSError
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise CommandError(f"{quoted_argument(source)} cannot be fetched: {reason}") from None
        yield Path(file.name)


def _copy(response: IO[bytes], file: IO[bytes]) -> None:
    size = 0
    while piece := response.read(_PIECE):
        size += len(piece)
        if size > LARGEST:
            raise CommandError(f"The file has more than {LARGEST:,} bytes.")
        file.write(piece)
    file.flush()
