from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class AccountQuerySet(models.QuerySet["Account"]):
    def locked(self, *owners: int) -> list[Account]:
        """Return the accounts of these user ids, locked until the transaction ends.

        The rows are locked in the order of their keys. So two transfers in opposite directions wait for each other and
        never
        deadlock.
        """
        return list(self.filter(owner_id__in=owners).select_for_update(no_key=True).order_by("pk"))


class Account(models.Model):
    """The balance of one user, in integer cents."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="account")
    balance = models.BigIntegerField(default=0)

    objects = AccountQuerySet.as_manager()

    class Meta:
        db_table = "payments_account"
        constraints = (models.CheckConstraint(condition=Q(balance__gte=0), name="payments_balance_not_negative"),)

    def __str__(self) -> str:
        return f"account {self.pk}"

    def change(self, cents: int) -> None:
        """Add ``cents``, which may be negative, to the balance. The row must be locked by ``locked()``."""
        self.balance += cents
        self.save(update_fields=["balance"])


class Transfer(models.Model):
    """Money that went from one account to another."""

    payer = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="sent")
    payee = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="received")
    amount = models.BigIntegerField()
    memo = models.CharField(max_length=140, blank=True, db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "payments_transfer"
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_transfer_positive"),
            models.CheckConstraint(condition=~Q(payer=F("payee")), name="payments_transfer_two_accounts"),
        )

    def __str__(self) -> str:
        return f"transfer {self.pk}"


class Payout(models.Model):
    """Money that left the service, to a destination that the payer names."""

    payer = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="payouts")
    to = models.CharField(max_length=140, db_index=True)
    amount = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "payments_payout"
        ordering = ("-pk",)
        constraints = (models.CheckConstraint(condition=Q(amount__gt=0), name="payments_payout_positive"),)

    def __str__(self) -> str:
        return f"payout {self.pk}"
