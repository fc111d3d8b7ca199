"""The form of a lockout, and the lockout of the subjects of selected rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms

from securecore.admin.forms import DurationField, ReasonForm
from securecore.admin.operations import Change
from securecore.grants import lockouts
from securecore.grants.principal_names import described


class LockForm(ReasonForm):
    """The time and the reason of a lockout. The reason is for the next operator, so there must be one."""

    lasts = DurationField(label="For")
    reason = forms.CharField(
        max_length=255,
        help_text="For the next operator and for the audit, for example: laptop stolen, ticket 4711.",
        widget=forms.TextInput(attrs={"size": 60}),
    )
    field_order: Any = ("lasts", "reason")


def lock_out_each(change: Change, subject_of: Callable[[Any], str]) -> str:
    """Lock out the subject of each row, each subject once; return the sentence of the success."""
    subjects: list[str] = []
    for row in change.rows:
        if (subject := subject_of(row)) in subjects:
            continue
        with change.of(row):
            until = lockouts.lock_out(
                subject=subject, lasts=change.data["lasts"], reason=change.data["reason"]
            ).expires_at
        change.done.append(row)
        subjects.append(subject)
    named = ", ".join(map(described, subjects))
    return f"Locked out until {until:%Y-%m-%d %H:%M} UTC: {named}."
