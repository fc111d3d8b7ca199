"""Refusals of certificates, of proxy headers, and of requests that another site made a browser send."""

from __future__ import annotations

from securecore.errors.base import Refused, Unavailable


class CertificateRequired(Refused):
    code = "certificate-required"
    title = "A client certificate is required."


class CertificateMalformed(Refused):
    code = "certificate-malformed"
    status = 400
    title = "The client certificate cannot be read."


class CertificateTooLarge(Refused):
    code = "certificate-too-large"
    status = 431
    title = "The client certificate is too large."


class CertificateNamesRefused(Refused):
    """The certificate has more names than securecore looks up. A name beyond the limit could be revoked or denied."""

    code = "certificate-names-refused"
    title = "The client certificate has too many names."


class CertificateNotVerified(Refused):
    code = "certificate-not-verified"
    title = "The client certificate was not verified."


class ProxySignatureRefused(Refused):
    """An identity header has no good signature of the proxy. The client cannot correct this."""

    code = "proxy-signature-refused"
    title = "The client certificate was not signed by the proxy."


class CertificateExpired(Refused):
    code = "certificate-expired"
    title = "The client certificate is not valid at this time."


class CertificateRevoked(Refused):
    code = "certificate-revoked"
    title = "The client certificate has been revoked."


class RevocationListExpired(Unavailable):
    """The revocation list of the certificate's issuer has expired, and the operator chose to accept none since."""

    code = "revocation-list-expired"
    title = "The service has no current revocation list for this client certificate."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, retry_after=60)


class CertificateUnknown(Refused):
    code = "certificate-unknown"
    title = "The client certificate belongs to no account here."


class CrossSite(Refused):
    code = "cross-site"
    title = "Another site may not use this client certificate."


class EarlyData(Refused):
    code = "early-data"
    status = 425
    title = "Send this request again after the TLS handshake."
