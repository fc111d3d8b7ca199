"""A small payments service behind mutual TLS, and its unprotected twin.

settings, urls, wsgi, gunicorn.conf   the protected service
payments                              its accounts, transfers and payouts, and the page for people
vulnerable                            the same routes without securecore, here to be attacked
pki, stack, children, guide            certificates, everything that runs (nginx, gunicorn twice), and what to try
tour                                  five attacks on both
"""

from __future__ import annotations
