"""Refusals of permissions, and of amounts of a limited permission."""

from __future__ import annotations

from securecore.errors.base import Refused


class PermissionDenied(Refused):
    code = "permission-denied"
    title = "You may not do this."


class AllowanceExhausted(PermissionDenied):
    code = "allowance-exhausted"
    title = "You have used up your allowance of this."


class LockedOut(PermissionDenied):
    """An operator has locked the user, the client, the certificate, its issuer or everyone out for a time."""

    code = "locked-out"
    title = "Access is locked for now."


class AmountRefused(Refused):
    """The amount of a request is no whole number from 1 to 2^63 - 1, the largest ``bigint``."""

    code = "amount-refused"
    status = 400
    title = "The amount must be a whole number greater than zero."
