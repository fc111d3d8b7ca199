"""The only code that moves money. Each function runs in one transaction, or joins the caller's."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from rest_framework.exceptions import APIException

from demo_project.payments.models import Account, Payout, Transfer

#: The value of a voucher, in cents.
VOUCHER = 1


class Unpayable(APIException):
    """The order is well formed and conflicts with the accounts, for example because the balance is too low.

    The accounts may change, so ``@idempotent`` stores no 409: the same key may succeed later.
    """

    status_code = 409


class NoAccount(Unpayable):
    default_code = "no-account"
    default_detail = "You have no account here."


class UnknownPayee(Unpayable):
    default_code = "unknown-payee"
    default_detail = "Nobody of this name has an account here."


class SameAccount(Unpayable):
    default_code = "same-account"
    default_detail = "Payer and payee are the same account."


class UnknownVoucher(Unpayable):
    default_code = "unknown-voucher"
    default_detail = "There is no such voucher, or it was redeemed."


class InsufficientFunds(Unpayable):
    default_code = "insufficient-funds"
    default_detail = "The balance does not cover this amount."


def transfer(*, payer: User, to: str, amount: int, memo: str = "") -> Transfer:
    """Move ``amount`` cents from ``payer`` to the user named ``to``.

    Raises ``NoAccount``, ``UnknownPayee``, ``SameAccount`` or ``InsufficientFunds``; then nothing has changed.
    """
    if to == payer.get_username():
        raise SameAccount
    payee = User.objects.filter(username=to, is_active=True).first()
    if payee is None:
        raise UnknownPayee
    with transaction.atomic():
        accounts = {account.owner_id: account for account in Account.objects.locked(payer.pk, payee.pk)}
        if payee.pk not in accounts:
            raise UnknownPayee
        source = _covering(accounts.get(payer.pk), amount)
        source.change(-amount)
        accounts[payee.pk].change(amount)
        return Transfer.objects.create(payer=source, payee=accounts[payee.pk], amount=amount, memo=memo)


def pay_out(*, payer: User, to: str, amount: int) -> Payout:
    """Move ``amount`` cents from ``payer`` out of the service. Raises ``NoAccount`` or ``InsufficientFunds``."""
    with transaction.atomic():
        source = _covering(next(iter(Account.objects.locked(payer.pk)), None), amount)
        source.change(-amount)
        return Payout.objects.create(payer=source, to=to, amount=amount)


def _covering(account: Account | None, amount: int) -> Account:
    if account is None:
        raise NoAccount
    if account.balance < amount:
        raise InsufficientFunds
    return account
