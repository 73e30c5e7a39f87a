"""Who did what, as events: each fits its schema, and nobody who listens can break a request."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_events import EventLogger

from jupyter_dashboards_api.access.audit import EVENTS, Audit, schema, schema_id
from jupyter_dashboards_api.access.callers import NOBODY, Caller, Visit

ANN = Caller("viewer", "ann", "viewer:ann:1", credential_id="1")
VISITOR = Caller("visitor", "visitor", visit=Visit("v", share="secret-token"))
LOG = logging.getLogger("audit")


@pytest.fixture
def events() -> EventLogger:
    return EventLogger()


@pytest.fixture
def written(events: EventLogger) -> io.StringIO:
    """What a file that listens has written."""
    text = io.StringIO()
    events.register_handler(logging.StreamHandler(text))
    return text


def told(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_fits_its_schema(
    events: EventLogger, written: io.StringIO, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    Audit(events, LOG).emit(event, ANN, "10.0.0.1", "sales/ümsatz.ipynb")
    (record,) = told(written)
    assert record["__schema__"] == schema_id(event)
    kept = {name: record[name] for name in ("actor", "kind", "address", "path")}
    assert kept == {
        "actor": "ann",
        "kind": "viewer",
        "address": "10.0.0.1",
        "path": "sales/ümsatz.ipynb",
    }
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_documented(event: str) -> None:
    text = EVENTS[event]
    assert text[0].isupper()
    assert text.endswith(".")
    described = schema(event)
    assert described["description"] == text
    assert all(field["description"] for field in described["properties"].values())
    assert set(described["required"]) == set(described["properties"])


def test_each_event_has_a_name_of_its_own() -> None:
    assert len({schema_id(event) for event in EVENTS}) == len(EVENTS)
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_callers_without_a_name_are_told_by_their_kind(
    events: EventLogger, written: io.StringIO
) -> None:
    audit = Audit(events, LOG)
    audit.emit("denied", NOBODY, None)
    audit.emit("share_opened", VISITOR, "10.0.0.1", "a.ipynb")
    assert [record["actor"] for record in told(written)] == ["nobody", "visitor"]
    assert told(written)[0]["address"] == ""
    assert "secret-token" not in written.getvalue()


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_name_and_path_can_be_told(name: str, path: str) -> None:
    events, text = EventLogger(), io.StringIO()
    events.register_handler(logging.StreamHandler(text))
    Audit(events, LOG).emit("view", Caller("viewer", name), "10.0.0.1", path)
    (record,) = told(text)
    assert record["path"] == path.encode(errors="replace").decode()


async def test_a_listener_that_fails_breaks_nothing(
    events: EventLogger, written: io.StringIO
) -> None:
    audit, heard = Audit(events, LOG), list[str]()

    async def fail(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        heard.append(data["actor"])

    events.add_listener(schema_id=schema_id("view"), listener=fail)
    events.add_listener(schema_id=schema_id("view"), listener=listen)
    audit.emit("view", ANN, "10.0.0.1")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard == ["ann"]
    assert len(told(written)) == 1


async def test_a_modifier_that_fails_breaks_nothing(
    events: EventLogger, written: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(events, LOG)

    def fail(schema_id: str, data: dict[str, Any]) -> dict[str, Any]:
        raise OSError("the disk is full")

    events.add_modifier(schema_id=schema_id("view"), modifier=fail)
    audit.emit("view", ANN, "10.0.0.1")
    assert told(written) == []
    assert "The event view was not told" in caplog.text
    audit.emit("login", ANN, "10.0.0.1")
    assert len(told(written)) == 1


def test_a_handler_that_is_closed_breaks_nothing(
    events: EventLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    text = io.StringIO()
    events.register_handler(logging.StreamHandler(text))
    audit = Audit(events, LOG)
    text.close()
    audit.emit("view", ANN, "10.0.0.1")
