"""The lists and sums that clients read. The ledger is open: every known user sees every account and every transfer."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum

from demo_project.payments.models import Account, Payout, Transfer
from demo_project.payments.serializers import AccountSerializer, PayoutSerializer, TransferSerializer

#: The length of a list, the newest rows first. ``count`` counts all rows.
LISTED = 50

_PARTIES = ("payer__owner", "payee__owner")


def accounts() -> list[dict[str, Any]]:
    """Return every account with its balance in cents."""
    return list(AccountSerializer(Account.objects.select_related("owner").order_by("owner__username"), many=True).data)


def transfers(*, memo: str | None = None) -> dict[str, Any]:
    """Return the newest transfers, or only those with exactly this ``memo``."""
    found = Transfer.objects.select_related(*_PARTIES)
    found = found if memo is None else found.filter(memo=memo)
    return {"count": found.count(), "results": TransferSerializer(found[:LISTED], many=True).data}


def payouts(*, to: str | None = None) -> dict[str, Any]:
    """Return the newest payouts, or only those to exactly this destination."""
    found = Payout.objects.select_related("payer__owner")
    found = found if to is None else found.filter(to=to)
    return {"count": found.count(), "results": PayoutSerializer(found[:LISTED], many=True).data}


def report() -> dict[str, Any]:
    """Return the sum of all balances and of all movements, in cents."""
    totals = {
        "accounts": Account.objects.aggregate(count=Count("pk"), cents=Sum("balance", default=0)),
        "transfers": Transfer.objects.aggregate(count=Count("pk"), cents=Sum("amount", default=0)),
        "payouts": Payout.objects.aggregate(count=Count("pk"), cents=Sum("amount", default=0)),
    }
    return totals
