"""Vouchers: a code that pays once."""

from __future__ import annotations

from django.contrib.auth.models import User

from demo_project.payments import ledger
from demo_project.payments.models import Payout
from securecore import clock
from securecore.tokens import one_time

#: Seconds.
LIFETIME = 3600

_PURPOSE = "voucher"


def issue(*, user: User) -> str:
    """Return the code of a new voucher, which only ``user`` can redeem."""
    return one_time.issue(purpose=_PURPOSE, subject=str(user.pk), lifetime=LIFETIME, now=clock.now())


def redeem(code: str, *, user: User) -> Payout:
    """Pay out the value of a voucher. Raises ``ledger.UnknownVoucher``."""
    # The voucher is used up before the payout. So a payout that fails is not repeated with the same code.
    if one_time.consume(code, purpose=_PURPOSE, now=clock.now()) != str(user.pk):
        raise ledger.UnknownVoucher
    return ledger.pay_out(payer=user, to="voucher", amount=ledger.VOUCHER)
