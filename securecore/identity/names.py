"""Read the names of a certificate that cryptography refuses to read.

cryptography raises ``ValueError`` for a subject in Latin-1, for example in a T61String of an old authority. It raises
the same for all extensions if one of them is invalid, for example a notice in the certificate policies. The proxy has
verified such a certificate, and the names are needed all the same: this module reads them from the DER.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

#: The tags [0] and [3] of a TBSCertificate.
_VERSION, _EXTENSIONS = 0xA0, 0xA3
#: Tags of the strings that every reader decodes in one way: UTF8String, PrintableString, IA5String.
_TEXTS = (0x0C, 0x13, 0x16)
#: DER of the names of RFC 4514 section 3.
_SHORT = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x09": "STREET",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": "DC",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01": "UID",
}
_SUBJECT_ALTERNATIVE_NAME = b"\x55\x1d\x11"
_SAN_KINDS = {0x81: "email", 0x82: "DNS", 0x86: "URI", 0x87: "IP"}


def issuer(tbs: bytes) -> str:
    """Return the issuer of a TBSCertificate as RFC 4514 text; see ``subject``."""
    return _name(_fields(tbs)[2][1])


def subject(tbs: bytes) -> str:
    """Return the subject of a TBSCertificate as RFC 4514 text.

    A value that is no plain text appears as ``#`` and the hexadecimal of its DER (RFC 4514 section 2.4), so two
    different names never have one text.
    """
    return _name(_fields(tbs)[4][1])


def subject_alternative_names(tbs: bytes) -> tuple[str, ...]:
    """Return the alternative names of a TBSCertificate. Raises ``ValueError`` if two extensions hold such names."""
    found = [value for oid, value in _extensions(tbs) if oid == _SUBJECT_ALTERNATIVE_NAME]
    if len(found) > 1:
        raise ValueError("Two extensions hold alternative names.")
    names = [each for value in found for _, content, _ in _elements(value) for each in _elements(content)]
    return tuple(f"{_SAN_KINDS[tag]}:{_san(tag, content)}" for tag, content, _ in names if tag in _SAN_KINDS)


def _san(tag: int, content: bytes) -> str:
    return str(ipaddress.ip_address(content)) if _SAN_KINDS[tag] == "IP" else content.decode("ascii")


def _fields(tbs: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return the elements of a TBSCertificate from the serial number on."""
    [(_, content, _)] = _elements(tbs)
    fields = list(_elements(content))
    return fields[1:] if fields[0][0] == _VERSION else fields


def _extensions(tbs: bytes) -> Iterator[tuple[bytes, bytes]]:
    for tag, content, _ in _fields(tbs):
        if tag == _EXTENSIONS:
            [(_, extensions, _)] = _elements(content)
            for _, extension, _ in _elements(extensions):
                parts = list(_elements(extension))
                yield parts[0][1], parts[-1][1]


def _name(content: bytes) -> str:
    relative = [list(_elements(rdn)) for _, rdn, _ in _elements(content)]
    return ",".join("+".join(_attribute(attribute) for _, attribute, _ in rdn) for rdn in reversed(relative))


def _attribute(content: bytes) -> str:
    (_, oid, _), (tag, value, whole) = _elements(content)
    return f"{_SHORT.get(oid) or _dotted(oid)}={_text(tag, value, whole)}"


def _text(tag: int, value: bytes, whole: bytes) -> str:
    if tag not in _TEXTS or _is_no_utf8(value):
        return f"#{whole.hex()}"
    text = value.decode("utf-8")
    for special in '\\"+,;<>':
        text = text.replace(special, f"\\{special}")
    text = text.replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    return f"{text[:-1]}\\ " if text.endswith(" ") else text


def _is_no_utf8(value: bytes) -> bool:
    """Return whether ``value`` is no UTF-8."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _dotted(oid: bytes) -> str:
    first, *rest = oid
    arcs, arc = [first // 40, first % 40] if first < 80 else [2, first - 80], 0
    for byte in rest:
        arc = arc << 7 | byte & 0x7F
        if byte < 0x80:
            arcs.append(arc)
            arc = 0
    return ".".join(map(str, arcs))


def _elements(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield each element of DER with its tag, its content and itself. Raises ``ValueError`` for a wrong length."""
    place = 0
    while place < len(content):
        tag, length = content[place], content[place + 1]
        start = place + 2
        if length >= 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(content[start : start + size], "big"), start + size
        if start + length > len(content):
            raise ValueError("The DER is cut off.")
        yield tag, content[start : start + length], content[place : start + length]
        place = start + length
