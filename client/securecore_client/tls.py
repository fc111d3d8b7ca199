"""The TLS context of a client with a certificate."""

from __future__ import annotations

import ssl
from pathlib import Path


def mutual_tls(certificate: str | Path, key: str | Path, *, authorities: str | Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that presents this client certificate (PEM files), for httpx's ``verify=``.

    ``authorities`` is the file of the certificate authorities that are trusted for the server; None means the system's
    authorities. With requests, set ``session.cert`` and ``session.verify`` instead. Raises ``OSError`` with the name of
    a file that is missing or unreadable: OpenSSL's own error names no file.
    """
    for path in (certificate, key, *([] if authorities is None else [authorities])):
        Path(path).open("rb").close()
    context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
    context.load_cert_chain(certificate, key)
    return context
