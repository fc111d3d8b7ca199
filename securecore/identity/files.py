"""Parse certificate files as people have them.

Example: the output of ``openssl x509 -text`` and of ``openssl pkcs12``, with a private key beside the certificate, with
the chain behind it, with a byte order mark, and DER. Headers have a strict form of their own (``encodings``).
"""

from __future__ import annotations

import codecs
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from securecore.errors import CertificateMalformed, Misuse
from securecore.identity.certificates import ClientCertificate, read
from securecore.identity.encodings import parse_der
from securecore.texts import quoted

#: A certificate in a PEM file. Text outside of the blocks is explanatory (RFC 7468 section 2).
_BLOCK = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END (?:X509 )?CERTIFICATE-----")
#: The first byte of DER: a SEQUENCE.
_SEQUENCE = b"\x30"


def parse_file(content: bytes) -> ClientCertificate:
    """Return the client certificate in the bytes of a file, PEM or DER.

    In a file with its chain the client certificate is the one that issued no other. Raises ``CertificateMalformed``
    (400), with a detail for the operator, and ``Misuse`` for a name of a file and for text.
    """
    if not isinstance(content, bytes):
        raise Misuse(
            f'{quoted(content)} is not the bytes of a file: write parse_file(Path("alice.pem").read_bytes()). For the '
            f"text of a PEM file, write parse_file(text.encode())."
        )
    if content.startswith(_SEQUENCE):
        try:
            return parse_der(content)
        except CertificateMalformed as refusal:
            raise CertificateMalformed(
                "This is no certificate in DER. Convert a PKCS#12 file: openssl pkcs12 -in FILE -clcerts -nokeys."
            ) from refusal
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # "Unicode" of an editor on Windows
        content = content.decode("utf-16", "replace").encode()
    blocks = [b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % body for body in _BLOCK.findall(content)]
    if not blocks:
        raise CertificateMalformed("The file holds no certificate: -----BEGIN CERTIFICATE----- is missing.")
    try:
        certificates = list(dict.fromkeys(x509.load_pem_x509_certificate(block) for block in blocks))
        leaves = [each for each in certificates if not any(_issued(each, other) for other in certificates)]
        if len(leaves) == 1:
            return read((leaves[0],))
    except Exception as error:  # as in encodings: cryptography raises exceptions of many kinds
        raise CertificateMalformed("The certificate in the file cannot be read.") from error
    raise CertificateMalformed(f"The file holds {len(leaves)} client certificates: keep one of them.")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer == certificate:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
