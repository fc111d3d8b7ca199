from __future__ import annotations

from securecore.checks import EVERY_CHECK


def found() -> list[str]:
    """Return the ids of securecore's findings, and assert that each has a hint."""
    messages = [message for check in EVERY_CHECK for message in check()]
    assert all(message.hint and message.msg for message in messages)
    return [str(message.id).removeprefix("securecore.") for message in messages]
