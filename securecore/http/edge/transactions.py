"""Exempt securecore's own revoking views from ``ATOMIC_REQUESTS``."""

from __future__ import annotations

from django.db import connections, transaction

from securecore.http.request import View


def outside_transactions(view: View) -> View:
    """Run the view without the transaction of ``ATOMIC_REQUESTS``, on every configured database.

    The view revokes, and a revocation must commit before the view returns its response. Django's decorator without
    ``using`` exempts only the alias ``default``, but securecore's tables may be in another database
    (``SECURECORE["DATABASE"]``).
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
