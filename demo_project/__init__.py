"""A small payments service behind mutual TLS, and a second service without protection ("the twin").

settings, urls, wsgi                  the protected service
payments                              accounts, transfers, payouts, and an HTML page
vulnerable                            the twin: the same routes without securecore, to be attacked here
pki, stack, children, guide, loopback certificates, the processes (nginx, gunicorn twice), and the printed help
tour                                  five attacks on both services
"""

from __future__ import annotations
