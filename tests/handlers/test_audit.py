"""The audit events: each is told for a request of its kind, to every listener, with who did it and to what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.access.audit import EVENTS, schema_id
from tests.conftest import Write
from tests.notebooks.archives import FORM, form, notebook_bytes

from .callers import PASSWORD, RULES, SHARED, Callers, Client, page_config
from .live import start

BOARD = f"?path={SHARED}"


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    return {"AccessRules": {"file": str(rules)}, "AccessManager": {"token_user": "operator"}}


class Listener:
    """Remembers what is told."""

    def __init__(self, app: Any) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        for event in EVENTS:
            app.serverapp.event_logger.add_listener(schema_id=schema_id(event), listener=self._hear)

    async def _hear(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        self.events.append((schema_id.split("/")[-2], data))

    async def heard(self, event: str) -> dict[str, Any]:
        """The last event of a kind, once it has been told; without what jupyter_events adds."""
        async with asyncio.timeout(30):
            while not (found := [data for name, data in self.events if name == event]):
                await asyncio.sleep(0.01)
        return {name: value for name, value in found[-1].items() if not name.startswith("__")}


@pytest.fixture
def listener(callers: Callers, write_notebook: Write) -> Listener:
    write_notebook(SHARED, new_code_cell("1"))
    return Listener(callers.app)


async def log_in(callers: Callers) -> None:
    await callers.viewer("ann")


async def log_owner_in(callers: Callers) -> None:
    await callers.nobody().send("POST", "/login", {"password": callers.token})


async def log_in_wrongly(callers: Callers) -> None:
    await callers.viewer("ann")
    await callers.nobody().send("POST", "/login", {"username": "ann", "password": "wrong"})


async def log_in_with_a_mistyped_name(callers: Callers) -> None:
    await callers.nobody().send("POST", "/login", {"username": PASSWORD, "password": "ann"})


async def log_out(callers: Callers) -> None:
    await (await callers.viewer("ann")).send("POST", "/logout", {})


async def look(callers: Callers) -> None:
    await (await callers.viewer("ann")).send("GET", "/dashboards/sales/board")


async def look_by_key(callers: Callers) -> None:
    await (await callers.key("dashboard:read")).send("GET", "/dashboards-plain/sales/board")


async def run(callers: Callers) -> None:
    await start(await callers.viewer("ann"), SHARED)


async def run_and_leave(callers: Callers) -> None:
    ann = await callers.viewer("ann")
    await ann.send("DELETE", f"/_api/kernels/{await start(ann, SHARED)}")


async def run_by_link(callers: Callers) -> None:
    await start(await callers.visitor(await callers.share()))


async def look_elsewhere(callers: Callers) -> None:
    await (await callers.viewer("bob")).send("GET", "/dashboards/sales/board")


async def clear_the_cache(callers: Callers) -> None:
    await (await callers.viewer("bob")).send("DELETE", "/_api/cache")


async def publish(callers: Callers) -> None:
    body = form(("a.ipynb", notebook_bytes()))
    key = await callers.key("dashboard:write")
    assert (await key.send("POST", "/_api/notebooks/sales/new", body, headers=FORM)).code == 201


async def remove(callers: Callers) -> None:
    assert (await callers.owner().send("DELETE", "/_api/notebooks/sales/board")).code == 204


async def share(callers: Callers) -> None:
    await callers.share()


async def open_link(callers: Callers) -> None:
    await callers.visitor(await callers.share())


async def guess(callers: Callers, password: str = "wrong") -> None:
    token = await callers.share(password_required=True)
    body = {"raw_password": "open, sesame"}
    await callers.owner().send("POST", f"/_api/sharing/passwords{BOARD}", body)
    await callers.nobody().send("POST", f"/shared/{token}", {"password": password})


async def unlock(callers: Callers) -> None:
    await guess(callers, "open, sesame")


async def make_key(callers: Callers) -> str:
    body = {"label": "a", "scopes": ["*"]}
    response = await callers.owner().send("POST", "/api/personal_api_keys", body)
    key_id: str = json.loads(response.body)["id"]
    return key_id


async def revoke_key(callers: Callers) -> None:
    await callers.owner().send("DELETE", f"/api/personal_api_keys/{await make_key(callers)}")


async def make_notebook(callers: Callers) -> str:
    response = await callers.owner().send("POST", "/_notebooks/notebooks/")
    notebook_id: str = json.loads(response.body)["notebook_id"]
    return notebook_id


async def rename_notebook(callers: Callers) -> str:
    notebook_id = await make_notebook(callers)
    await callers.owner().send("PUT", f"/_notebooks/notebooks/{notebook_id}", {"name": "new"})
    return notebook_id


async def delete_notebook(callers: Callers) -> None:
    body = {"nbk_ids": [await rename_notebook(callers)]}
    headers = {"Content-Type": "application/json"}
    await callers.owner().send(
        "DELETE",
        "/_notebooks/notebooks/",
        json.dumps(body),
        headers=headers,
        allow_nonstandard_methods=True,
    )


# A path may have a star for what depends on the time.
TOLD: tuple[tuple[str, Callable[[Callers], Awaitable[Any]], str, str, str], ...] = (
    ("login", log_in, "ann", "viewer", ""),
    ("login", log_owner_in, "operator", "owner", ""),
    ("login_failed", log_in_wrongly, "ann", "nobody", ""),
    # What is no viewer's name is nobody's business.
    ("login_failed", log_in_with_a_mistyped_name, "nobody", "nobody", ""),
    ("logout", log_out, "ann", "viewer", ""),
    ("view", look, "ann", "viewer", SHARED),
    ("view", look_by_key, "owner", "key", SHARED),
    ("kernel_started", run, "ann", "viewer", SHARED),
    ("kernel_started", run_by_link, "visitor", "visitor", SHARED),
    ("kernel_stopped", run_and_leave, "ann", "viewer", SHARED),
    # As it was asked for: what is there was not looked at.
    ("denied", look_elsewhere, "bob", "viewer", "sales/board"),
    ("denied", clear_the_cache, "bob", "viewer", ""),
    ("upload", publish, "owner", "key", "sales/new.ipynb"),
    ("delete", remove, "operator", "owner", SHARED),
    ("notebook_created", make_notebook, "operator", "owner", "notebooks/operator/*_operator.ipynb"),
    ("notebook_renamed", rename_notebook, "operator", "owner", "notebooks/operator/new.ipynb"),
    ("notebook_deleted", delete_notebook, "operator", "owner", "notebooks/operator/new.ipynb"),
    ("share_changed", share, "operator", "owner", SHARED),
    ("share_opened", open_link, "visitor", "visitor", SHARED),
    ("share_failed", guess, "visitor", "visitor", SHARED),
    ("share_unlocked", unlock, "visitor", "visitor", SHARED),
    ("key_created", make_key, "operator", "owner", ""),
    ("key_revoked", revoke_key, "operator", "owner", ""),
)


def test_every_event_is_caused_here() -> None:
    assert {row[0] for row in TOLD} == set(EVENTS)


@pytest.mark.parametrize(
    ("event", "cause", "actor", "kind", "path"),
    TOLD,
    ids=[f"{row[0]}-{row[1].__name__}" for row in TOLD],
)
async def test_an_event_says_who_did_what_to_what(
    callers: Callers,
    listener: Listener,
    event: str,
    cause: Callable[[Callers], Awaitable[Any]],
    actor: str,
    kind: str,
    path: str,
) -> None:
    await cause(callers)
    heard = await listener.heard(event)
    assert fnmatchcase(heard.pop("path"), path)
    assert heard == {"actor": actor, "kind": kind, "address": "127.0.0.1"}


async def test_what_nothing_came_of_is_not_told(callers: Callers, listener: Listener) -> None:
    nobody, owner = callers.nobody(), callers.owner()
    await nobody.send("GET", "/dashboards/sales/board")
    await nobody.send("POST", "/_api/kernels", {"path": SHARED})
    await owner.send("GET", "/dashboards/missing")
    await owner.send("GET", "/dashboards")
    await owner.send("POST", "/_api/kernels", {"path": "missing.ipynb"})
    await owner.send("POST", "/_api/notebooks/x", form(("a.txt", b"")), headers=FORM)
    await owner.send("DELETE", "/_api/notebooks/missing")
    await owner.send("PATCH", f"/_api/sharing{BOARD}", {"enabled": "yes"})
    await owner.send("POST", "/api/personal_api_keys", {})
    await nobody.send("GET", "/shared/missing")
    await nobody.send("POST", "/logout", {})
    # Told after those, if they were.
    await owner.send("GET", "/dashboards/sales/board")
    await listener.heard("view")
    assert [name for name, _ in listener.events] == ["view"]


async def test_no_event_holds_a_credential(callers: Callers, listener: Listener) -> None:
    await guess(callers)
    await log_in_with_a_mistyped_name(callers)
    await make_key(callers)
    await callers.visitor(token := await callers.share(password_required=False))
    await listener.heard("share_opened")
    told = json.dumps(listener.events)
    for secret in (PASSWORD, "open, sesame", "wrong", token, callers.token, "jda_"):
        assert secret not in told


async def test_a_listener_that_fails_fails_no_request(
    callers: Callers, write_notebook: Write
) -> None:
    write_notebook(SHARED, new_code_cell("1"))
    logger = callers.app.serverapp.event_logger

    async def fails(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        raise RuntimeError("The collector is full.")

    for event in EVENTS:
        logger.add_listener(schema_id=schema_id(event), listener=fails)
    listener = Listener(callers.app)
    for cause in (look, run_and_leave, share, unlock, revoke_key, publish, log_out, look_elsewhere):
        await cause(callers)
    page = await callers.owner().send("GET", "/dashboards/sales/board")
    assert page.code == 200
    # The others are told all the same.
    await listener.heard("kernel_stopped")
    await listener.heard("logout")


async def test_a_logger_that_fails_fails_no_request(
    callers: Callers, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = callers.app.serverapp.event_logger
    emit = logger.emit

    def fails(*, schema_id: str, **options: Any) -> Any:
        # The server's own events are not in question.
        if "jupyter_dashboards_api" in schema_id:
            raise RuntimeError("The disk is full.")
        return emit(schema_id=schema_id, **options)

    monkeypatch.setattr(logger, "emit", fails)
    client: Client = callers.owner()
    page = await client.send("GET", "/dashboards/sales/board")
    assert page.code == 200
    assert page_config(page)["path"] == SHARED
