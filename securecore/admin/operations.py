"""Operations of an administrator: confirmed on a page, run by the functions of the API, reported, recorded.

An operation works on the selected rows of a list (``@operation``), or on a form alone (``@operation(...,
needs_rows=False)``). Nothing happens before the administrator has confirmed the page that names the rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE
from django.db.models import Model
from django.http import HttpRequest

from securecore.admin.forms import ReasonForm
from securecore.admin.history import Subject, recorded
from securecore.events import Event
from securecore.texts import counted

#: Rows of one operation. A revocation takes milliseconds a row, and waits for the effects of its principals.
MOST_ROWS = 100


@dataclass(frozen=True)
class Operation:
    """An operation of a page.

    ``permission`` is that of Django for the page's model, ``add``, ``change`` or ``delete``, or for another model:
    ``add_lockout``.
    """

    name: str
    label: str
    permission: str
    #: The sentence above the rows: the consequence, and whether there is a way back.
    consequence: str
    run: Callable[[Any, Change], str]
    form: type[ReasonForm] = ReasonForm
    needs_rows: bool = True
    #: The operation needs exactly one row, with which its form begins.
    is_for_one: bool = False


@dataclass
class Change:
    """One confirmed operation: its request, rows, and the cleaned data of its form."""

    request: HttpRequest
    operation: Operation
    rows: list[Any]
    data: dict[str, Any]
    #: The rows that the operation has changed so far.
    done: list[Any] = field(default_factory=list)

    def of(self, *rows: Model | Subject) -> AbstractContextManager[None]:
        """Record the changes of the block under these rows."""
        return self._recorded(lambda _: rows, CHANGE)

    def naming(self, row_of: Callable[[Event], Model | None]) -> AbstractContextManager[None]:
        """Record each change of the block under the row that ``row_of`` returns for its event."""
        return self._recorded(lambda event: filter(None, [row_of(event)]), CHANGE)

    def making(self, row_of: Callable[[Event], Model | None]) -> AbstractContextManager[None]:
        """Record the changes of the block under the row that ``row_of`` returns for an event: a new row."""
        return self._recorded(lambda event: filter(None, [row_of(event)]), ADDITION)

    def each(self, change: Callable[[Any], Any]) -> int:
        """Call ``change`` with each row, and record it; return the number of rows for which it returned no False."""
        for row in self.rows:
            with self.of(row):
                if change(row) is not False:
                    self.done.append(row)
        return len(self.done)

    def report(self, change: Callable[[Any], Any], one: str, done: str, *, instead: str = "") -> str:
        """Call ``change`` with each row, and return the sentence of the success.

        Example: ``2 certificates were revoked. 1 was revoked already.`` for "certificate" and "revoked". ``instead`` is
        the text for rows that were not changed, if it is not ``revoked already``.
        """
        count = self.each(change)
        told = f"{counted(count, f'{one} was', f'{one}s were')} {done}."
        late = len(self.rows) - count
        return f"{told} {counted(late, 'was', 'were')} {instead or f'{done} already'}." if late else told

    def _recorded(
        self, rows_of: Callable[[Event], Iterable[Model | Subject]], flag: int
    ) -> AbstractContextManager[None]:
        reason = self.data.get("reason", "")
        return recorded(self.request, rows_of, flag=flag, text=self.operation.label, reason=reason)


def operation(label: str, *, permission: str, consequence: str, **options: Any) -> Callable[[Any], Any]:
    """Make an operation of a method that takes a ``Change``, and returns the sentence of its success."""

    def decorate(method: Callable[[Any, Change], str]) -> Any:
        described = Operation(method.__name__, label, permission, consequence, method, **options)

        @functools.wraps(method)
        def action(page: Any, request: HttpRequest, rows: Any = None) -> Any:
            return page.operate(request, described, rows)

        action.operation = described  # type: ignore[attr-defined]
        action.short_description = label  # type: ignore[attr-defined]
        return action

    return decorate
