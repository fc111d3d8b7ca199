"""The caller of a request, and views that check and act in one transaction.

The rules for several credentials in one request are in ``securecore.caller``; the grants are in ``securecore.grants``.
"""
