"""WEAKNESS: use-limit overrun. A voucher is checked, paid and deleted in three steps."""

from __future__ import annotations

import secrets
import time

from django.contrib.auth.models import User

from demo_project.payments import ledger
from demo_project.payments.models import Payout

#: A real service asks a bank here, which takes longer than the INSERT of this one.
PAYMENT_SECONDS = 0.01
_open: set[str] = set()


def issue() -> str:
    """Return the code of a new voucher."""
    code = secrets.token_urlsafe(16)
    _open.add(code)
    return code


def redeem(code: str, *, user: User) -> Payout:
    """Pay out the value of a voucher. Raises ``ledger.UnknownVoucher``."""
    if code not in _open:
        raise ledger.UnknownVoucher
    # The flaw: a request between the check above and the line below is paid too.
    time.sleep(PAYMENT_SECONDS)
    done = ledger.pay_out(payer=user, to="voucher", amount=ledger.VOUCHER)
    _open.discard(code)
    return done
