"""Revoke all access tokens of a user, of a client or of everyone, without a list of the tokens.

A token names the epochs under which it was issued. A higher epoch in the table ends the token.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from securecore.conf import settings
from securecore.tokens.models import TokenEpoch

EVERYONE = "everyone"


def user_subject(subject: str) -> str:
    return f"user:{subject}"


def client_subject(client_id: str) -> str:
    return f"client:{client_id}"


def current(*subjects: str) -> list[int]:
    """Return the epoch of each subject; 0 for a subject without a row."""
    known = dict(
        TokenEpoch.objects.using(settings.DATABASE).filter(subject__in=subjects).values_list("subject", "epoch")
    )
    return [known.get(subject, 0) for subject in subjects]


def advance(subject: str) -> None:
    """Refuse every access token issued to ``subject`` so far, from the commit of the surrounding transaction on."""
    rows = TokenEpoch.objects.using(settings.DATABASE)
    rows.bulk_create([TokenEpoch(subject=subject)], ignore_conflicts=True)
    rows.filter(subject=subject).update(epoch=F("epoch") + 1)


def refuse_until(instant: dt.datetime) -> None:
    """Refuse every access token that was issued at or before ``instant``. A later instant in the table stays."""
    rows = TokenEpoch.objects.using(settings.DATABASE)
    rows.bulk_create([TokenEpoch(subject=EVERYONE, not_before=instant)], ignore_conflicts=True)
    rows.filter(subject=EVERYONE).exclude(not_before__gt=instant).update(not_before=instant)
