"""Events are logged and sent as signals, survive failing receivers, and hold no secret."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from securecore.events import Event, HeaderForged, RequestRefused, emit, every_event, happened
from tests.events.recorder import of_kind, recorded
from tests.support.tree import files

FORGED = HeaderForged(peer="203.0.113.9", headers=("HTTP_CLIENT_CERT",), reason="It sent no X-Proxy-Auth.")


def example(kind: type[Event]) -> Event:
    """Return an event of this class with a value in every field."""
    return kind(**{field.name: field.name for field in dataclasses.fields(kind)})


EVERY_EVENT = [kind for kind in every_event() if kind.__module__.startswith("securecore.")]


@pytest.mark.parametrize("kind", EVERY_EVENT, ids=lambda kind: kind.name)
def test_code_emits_every_event(kind: type[Event]) -> None:
    """An event that no code emits is a promise of the manual that nobody keeps."""
    elsewhere = [path.read_text() for path in files(".py", under="securecore") if path.parent.name != "events"]
    assert any(f"events.{kind.__name__}(" in text for text in elsewhere)


class TestEmit:
    @pytest.mark.parametrize("kind", EVERY_EVENT, ids=lambda kind: kind.name)
    def test_emit_logs_and_sends_every_event(self, kind: type[Event], caplog: pytest.LogCaptureFixture) -> None:
        event = example(kind)
        with recorded() as events, caplog.at_level(logging.DEBUG, "securecore"):
            emit(event)
        assert events == [event]
        (record,) = caplog.records
        assert (record.levelno, record.name) == (kind.level, "securecore")
        assert record.__dict__["event"] == kind.name
        assert record.__dict__["payload"] == dataclasses.asdict(event)
        assert record.getMessage().startswith(kind.name)
        assert not [name for name in dataclasses.asdict(event) if f"{name}=" not in record.getMessage()]

    def test_emit_writes_one_line_whatever_the_sender_sent(self, caplog: pytest.LogCaptureFixture) -> None:
        hostile = "/\r\nWARNING securecore.grants.grant-given principal='mallory' \x1b[2J\0\u2028"
        with caplog.at_level(logging.DEBUG, "securecore"):
            emit(RequestRefused(code="x", method=hostile, path=hostile, thumbprint=None, reason=hostile))
        message = caplog.records[0].getMessage()
        assert len(message.splitlines()) == 1
        assert "\x1b" not in message
        assert "\0" not in message

    def test_emit_is_not_changed_by_a_receiver_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(**_: Any) -> None:
            raise ZeroDivisionError("a receiver's mistake")

        happened.connect(fail)
        try:
            with recorded() as events:
                emit(FORGED)
        finally:
            happened.disconnect(fail)
        assert events == [FORGED]
        assert [record.levelname for record in caplog.records if "failed" in record.getMessage()]

    def test_emit_can_be_listened_to_by_kind(self) -> None:
        heard: list[Event] = []

        def listen(*, event: Event, **_: Any) -> None:
            heard.append(event)

        happened.connect(listen, sender=HeaderForged)
        try:
            emit(FORGED)
            emit(RequestRefused(code="x", method="GET", path="/", thumbprint=None, reason=""))
        finally:
            happened.disconnect(listen, sender=HeaderForged)
        assert heard == [FORGED]


class TestEvent:
    @pytest.mark.parametrize("kind", EVERY_EVENT, ids=lambda kind: kind.name)
    def test_event_cannot_be_changed(self, kind: type[Event]) -> None:
        event = example(kind)
        for field in dataclasses.fields(event):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(event, field.name, "")


class TestRecorder:
    def test_recorder_hears_only_what_happens_inside(self) -> None:
        emit(FORGED)
        with recorded() as events:
            emit(FORGED)
        emit(FORGED)
        assert of_kind(events, HeaderForged) == [FORGED]
        assert of_kind(events, RequestRefused) == []
