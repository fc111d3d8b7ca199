"""gunicorn 27 or newer ends TLS itself: SECURECORE = {"CERTIFICATE_SOURCE": "gunicorn"}, no proxy and no header.

For services inside a cluster, where every peer is known. A service that faces the internet has a proxy in front,
which takes slow clients and large requests off the application.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

bind = ["0.0.0.0:8443"]
certfile = "/etc/securecore/server.pem"
keyfile = "/etc/securecore/server.key"
ca_certs = "/etc/securecore/ca.pem"
# The application answers a client without a certificate. With CERT_NONE no client would ever have one.
cert_reqs = ssl.CERT_OPTIONAL


def ssl_context(config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the TLS context with the options for which gunicorn has no setting."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    # Python can name one. Without a name OpenSSL offers X448 and P-521 too.
    context.set_ecdh_curve("prime256v1")
    # Read when a worker starts: replace the file, then reload. Every authority of the chain needs its CRL.
    context.load_verify_locations("/etc/securecore/crl.pem")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    # A resumed session is not checked against the CRL again. So every connection is a full handshake.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


worker_class = "gthread"
workers = 2
threads = 8

# X_SSL_Client_Verify and X-SSL-Client-Verify become one WSGI variable. A name with an underscore is dropped.
header_map = "drop"
forwarder_headers = ""
# There is no proxy, so no peer may name the scheme of a request.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

limit_request_field_size = 16 * 1024
limit_request_fields = 64
timeout = 30
graceful_timeout = 5
keepalive = 15
control_socket_disable = True
