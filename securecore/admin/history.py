"""Name the administrator of a change, and write Django's log of actions in the transaction of the change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

from securecore import audit
from securecore.events import Event
from securecore.http.actor import actor_of

#: The longest text of a column of Django's log.
_LONGEST_NAME: int = LogEntry._meta.get_field("object_repr").max_length or 200


@dataclass(frozen=True)
class Subject:
    """The subject of a log entry without a row of a model, for example the tokens of a user."""

    model: type[Model]
    text: str
    pk: str | None = None

    def __str__(self) -> str:
        return self.text


@contextmanager
def recorded(
    request: HttpRequest, about: Callable[[Event], Iterable[Model | Subject]], *, flag: int, text: str, reason: str
) -> Iterator[None]:
    """Name the administrator and the reason in each audit row of the block, and write a log entry beside each.

    ``about`` returns the rows that an event of the block is about: each gets an entry. If the log of actions is in
    another database than ``SECURECORE["DATABASE"]``, its entry commits first, and stays if the change fails.
    """
    message = f"{text}: {reason}" if reason else text

    def log(event: Event) -> None:
        name = event.name.removeprefix("securecore.")
        for row in about(event):
            LogEntry.objects.create(
                user_id=request.user.pk,  # type: ignore[misc]  # the site admits users with a key only
                # By its key, since a router may read content types from a replica.
                content_type_id=ContentType.objects.get_for_model(row.model if isinstance(row, Subject) else row).pk,
                object_id=None if row.pk is None else str(row.pk),
                object_repr=str(row)[:_LONGEST_NAME],
                action_flag=flag,
                change_message=f"{message} [{name}]",
            )

    with audit.acting(actor_of(request), reason=reason), audit.accompanied(log):
        yield
