"""Verify a client certificate in securecore, in addition to the proxy's verification.

All checks are optional and off by default, because the proxy verified the chain. They are for applications that share a
proxy with others, and for proxies that verify nothing (an AWS load balancer in passthrough mode).
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from securecore.conf import settings
from securecore.errors import CertificateNotVerified
from securecore.identity.certificates import ClientCertificate

#: Authorities between a client certificate and its root: a policy authority and an issuing authority. Each further
#: authority can issue certificates that name a user of the project.
_MAX_DEPTH = 2


def check(certificate: ClientCertificate, now: dt.datetime) -> None:
    """Raise ``CertificateNotVerified`` unless issuer, key and chain satisfy the settings.

    The chain is verified at each request and the result is never cached, because authorities expire too. With P-256 a
    chain of two costs about 160 us. A chain with more than two authorities between leaf and root
    is refused.
    """
    if settings.CERTIFICATE_ISSUERS and certificate.issuer not in settings.CERTIFICATE_ISSUERS:
        raise CertificateNotVerified
    if settings.CERTIFICATE_KEY_TYPES and not _is_wanted_key(certificate.key_type):
        raise CertificateNotVerified
    if settings.CERTIFICATE_AUTHORITIES and certificate.is_verified:
        _verify(certificate.chain, now)


def load(path: str) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Return the roots and the intermediate authorities of a PEM file. Raises ``OSError``, and ``ValueError`` without a
    root.
    """
    authorities = x509.load_pem_x509_certificates(Path(path).read_bytes())
    roots = [each for each in authorities if _is_self_signed(each)]
    if not roots:
        raise ValueError("no certificate in it is self-signed, so there is no root")
    return roots, [each for each in authorities if each not in roots]


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, TypeError, ValueError):  # TypeError: a key of a kind that signs nothing
        return False
    return True


def _verify(chain: tuple[x509.Certificate, ...], now: dt.datetime) -> None:
    leaf, *others = chain
    roots, intermediates = _authorities(settings.CERTIFICATE_AUTHORITIES)
    builder = (
        PolicyBuilder()
        .store(Store(roots))
        .time(now)
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_leaf_policy())
    )
    try:
        builder.build_client_verifier().verify(leaf, [*others, *intermediates])
    except (VerificationError, ValueError) as error:
        # ValueError: an unreadable extension. Name constraints that cryptography cannot judge (URI, directory names)
        # are refused as well: RFC 5280 section 4.2 demands that of critical extensions.
        raise CertificateNotVerified from error


@lru_cache(maxsize=1)
def _authorities(path: str) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    # Read once in each process, as the proxy does. After the file changes, restart the proxy and the workers.
    return load(path)


@lru_cache(maxsize=1)
def _leaf_policy() -> ExtensionPolicy:
    # The default rules of the Web PKI demand a host name, which a client has not. These three extensions decide whether
    # a certificate may authenticate a client.
    return (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_for_clients)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_no_authority)
    )


def _is_for_clients(policy: Policy, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    # RFC 5280 section 4.2.1.12: a certificate without this extension is not restricted.
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("not for client authentication")


def _may_sign(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 8446 section 4.4.2.4
    if usage is not None and not usage.digital_signature:
        raise ValueError("the key may not sign a handshake")


def _is_no_authority(policy: Policy, certificate: x509.Certificate, basic: x509.BasicConstraints | None) -> None:
    if basic is not None and basic.ca:
        raise ValueError("an authority is no client")


def _is_wanted_key(key_type: str) -> bool:
    kind, _, size = key_type.partition("-")
    if kind != "RSA":
        return key_type in settings.CERTIFICATE_KEY_TYPES
    # RSA-3072 allows every longer key too.
    smallest = [int(wanted[4:]) for wanted in settings.CERTIFICATE_KEY_TYPES if wanted.startswith("RSA-")]
    return any(int(size) >= least for least in smallest)
