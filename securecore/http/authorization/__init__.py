"""The caller of a request, and views whose check and effect are one transaction.

The rules for several credentials in one request are in ``securecore.caller``; the grants are in ``securecore.grants``.
"""
