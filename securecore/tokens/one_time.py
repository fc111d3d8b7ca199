"""One-time tokens for links and confirmations. Each is bound to a purpose and consumed once."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from securecore import database, digests
from securecore.arguments import require_instant, require_text
from securecore.conf import settings
from securecore.durations import check_seconds
from securecore.texts import storable
from securecore.tokens.models import OneTimeToken

_LONGEST: int = OneTimeToken._meta.get_field("subject").max_length or 0


def issue(*, purpose: str, subject: str, lifetime: int, now: dt.datetime) -> str:
    """Return a secret that stands for ``subject`` for one ``purpose``, for ``lifetime`` seconds.

    The secret works once the surrounding transaction has committed: send it in ``transaction.on_commit``. ``subject``
    is a text, for example ``str(user.pk)``. Raises ``Misuse`` for another type.
    """
    check_seconds("issue(lifetime=)", lifetime)
    require_text(purpose=purpose, subject=subject)
    require_instant(now=now)
    secret = digests.new_secret()
    OneTimeToken.objects.using(settings.DATABASE).create(
        id=_record_id(purpose, secret),
        subject=storable(subject, longest=_LONGEST),
        expires_at=now + dt.timedelta(seconds=lifetime),
    )
    return secret


def consume(presented_token: str | None, *, purpose: str, now: dt.datetime) -> str | None:
    """Use up a token and return its subject; None if it is unknown, expired, used, for another purpose, or None.

    The row count of one DELETE decides, so exactly one of many concurrent callers gets the subject. The DELETE commits
    before the effect: if the effect fails, the token is gone all the same. Raises ``Misuse`` in a transaction.
    """
    require_text(purpose=purpose)
    database.require_no_transaction("The consumption of a one-time token")
    if presented_token is None:  # a missing parameter of a request
        return None
    rows = OneTimeToken.objects.using(settings.DATABASE).filter(
        pk=_record_id(purpose, presented_token), expires_at__gt=now
    )
    subject = rows.values_list("subject", flat=True).first()
    return subject if subject is not None and rows.delete()[0] == 1 else None


def _record_id(purpose: str, secret: str) -> UUID:
    return digests.record_id("one-time", purpose, secret)
