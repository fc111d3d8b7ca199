"""Read a revocation list from a file in pieces, so that a list of millions of entries needs little memory.

The file is split at the borders of DER elements only. cryptography parses each piece: a list without entries gives the
header and the extensions, and a list of each 5,000 entries gives these entries.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography import x509

from securecore.errors import Misuse
from securecore.identity.revocation_list.contents import Entry, entry_of, refuse_other_kinds
from securecore.texts import quoted

#: Entries that are parsed at once. With 40 bytes each, a piece has 200 kB.
BATCH = 5_000
#: Bytes. An issuer's name and the extensions of a list have some hundred.
_LONGEST_FIELD = 65_536
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _EXTENSIONS = 0x30, 0x17, 0x18, 0xA0
_PEM_BEGIN, _PEM_END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True)
class _Element:
    """One element of DER in the file: its tag, and where it, its content and the next element begin."""

    tag: int
    begin: int
    content: int
    end: int


class RevocationListFile:
    """A revocation list in DER in an open file.

    ``header`` is the list without its entries. Its signature covers other bytes, which ``signed`` gives. Raises
    ``Misuse`` for a file that is no list, and for a list of a kind that securecore does not import: a delta list, an
    indirect list, and a list of some reasons or of authorities only.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            self._read_structure()
        except (ValueError, IndexError) as error:
            raise Misuse(f"The file is no certificate revocation list in DER or PEM: {error}") from error
        refuse_other_kinds(self.header)

    def _read_structure(self) -> None:
        whole = self._element(0)
        self.signed = self._element(whole.content)
        if (whole.tag, self.signed.tag) != (_SEQUENCE, _SEQUENCE) or whole.end != self._file.seek(0, os.SEEK_END):
            raise ValueError("the DER is cut off, or another file")
        fields = list(self._elements(self.signed))
        times = [number for number, field in enumerate(fields) if field.tag in (_UTC_TIME, _GENERALIZED_TIME)]
        after = times[-1] + 1
        has_entries = after < len(fields) and fields[after].tag == _SEQUENCE
        self._entries = fields[after] if has_entries else None
        self._before = b"".join(map(self._bytes, fields[:after]))
        extensions = b"".join(map(self._bytes, fields[after + has_entries :]))
        outside = self._bytes(_Element(0, self.signed.end, self.signed.end, whole.end))
        self._outside = outside
        self.header = x509.load_der_x509_crl(_sequence(_sequence(self._before + extensions) + outside))

    @property
    def descriptor(self) -> int:
        """The file descriptor. ``signed`` has the places of the signed bytes in the file."""
        return self._file.fileno()

    def pieces(self, size: int = 1 << 20) -> Iterator[bytes]:
        """Yield the signed bytes in pieces of ``size`` bytes."""
        self._file.seek(self.signed.begin)
        left = self.signed.end - self.signed.begin
        while left:
            piece = self._file.read(min(size, left))
            if not piece:
                raise Misuse("The file was cut off while it was read.")
            left -= len(piece)
            yield piece

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries in lists of at most ``BATCH``. Raises ``Misuse`` for an entry that it cannot judge."""
        if self._entries is None:
            return
        buffer, count = bytearray(), 0
        for entry in self._elements(self._entries):
            buffer += self._bytes(entry)
            count += 1
            if count == BATCH:
                yield self._parsed(bytes(buffer))
                buffer, count = bytearray(), 0
        if count:
            yield self._parsed(bytes(buffer))

    def _parsed(self, entries: bytes) -> list[Entry]:
        try:
            piece = x509.load_der_x509_crl(_sequence(_sequence(self._before + _sequence(entries)) + self._outside))
            return [entry_of(each) for each in piece]
        except (ValueError, x509.UnsupportedGeneralNameType) as error:
            raise Misuse(f"The revocation list has an entry that cannot be read: {error}") from error

    def _elements(self, around: _Element) -> Iterator[_Element]:
        place = around.content
        while place < around.end:
            element = self._element(place)
            if element.end > around.end:
                raise ValueError("the DER is cut off")
            yield element
            place = element.end

    def _element(self, place: int) -> _Element:
        self._file.seek(place)
        head = self._file.read(6)
        tag, length, start = head[0], head[1], 2
        if length >= 0x80:
            start = 2 + (length & 0x7F)
            if not 2 < start <= len(head):
                raise ValueError("a length is not DER, or of more than four bytes")
            length = int.from_bytes(head[2:start], "big")
        return _Element(tag, place, place + start, place + start + length)

    def _bytes(self, element: _Element) -> bytes:
        length = element.end - element.begin
        if length > _LONGEST_FIELD:
            raise ValueError("a field is too long")
        self._file.seek(element.begin)
        read = self._file.read(length)
        if len(read) != length:
            raise ValueError("the DER is cut off")
        return read


@contextmanager
def open_list(path: Path) -> Iterator[RevocationListFile]:
    """Open the list at ``path``, in DER or PEM. Raises ``OSError``, and ``Misuse`` for a file that is no list."""
    with path.open("rb") as file:
        if not file.read(64).lstrip().startswith(b"-----BEGIN"):
            yield RevocationListFile(file)
            return
        file.seek(0)
        with tempfile.TemporaryFile() as decoded:
            _decode(file, decoded)
            yield RevocationListFile(decoded)


def _decode(pem: IO[bytes], der: IO[bytes]) -> None:
    """Write the DER of the first list in ``pem`` to ``der``, line by line."""
    lines = (line.strip() for line in iter(lambda: pem.readline(_LONGEST_FIELD), b""))
    if not any(line == _PEM_BEGIN for line in lines):
        raise Misuse(f"The PEM file has no {_PEM_BEGIN.decode()}.")
    rest = b""
    for line in lines:
        if line == _PEM_END:
            return
        rest += line
        whole = len(rest) // 4 * 4
        try:
            der.write(base64.b64decode(rest[:whole], validate=True))
        except binascii.Error as error:
            raise Misuse(
                f"The PEM file holds a line that is no base64: {quoted(line.decode('ascii', 'replace'))}"
            ) from error
        rest = rest[whole:]
    raise Misuse(f"The PEM file has no {_PEM_END.decode()}.")


def _sequence(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((_SEQUENCE, length)) + content
    encoded = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((_SEQUENCE, 0x80 | len(encoded))) + encoded + content
