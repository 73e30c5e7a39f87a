"""Access as a whole: who a caller is by a credential, what they may open, and that it ends when it should."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from jupyter_events import EventLogger
from sqlalchemy import update

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.access.activities import Activities
from jupyter_dashboards_api.access.authenticators import Viewer
from jupyter_dashboards_api.access.callers import NOBODY, Caller, Visit
from jupyter_dashboards_api.access.manager import AccessManager
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import APIKey, LoginSession
from tests.database.others import writing

from .conftest import NewNotebook, Run

OWNER = Caller("owner", "root", "owner:root")
RULES = """
[rules]
"public" = "public"
"staff" = "viewers"
"board.ipynb" = ["group:board"]
"""


class Below:
    """A store whose dashboards are in the folder `root` of the contents manager."""

    def api_path(self, path: str) -> str:
        return f"root/{path}" if path else "root"


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], None]:
    """Writes the access file."""
    return (tmp_path / "access.toml").write_text  # type: ignore[return-value]


@pytest.fixture
def access(
    database: Database, tmp_path: Path, rules: Callable[[str], None]
) -> Iterator[AccessManager]:
    rules(RULES)
    manager = AccessManager(
        database=database,
        store=Below(),
        cookie_secret=b"s" * 32,
        event_logger=EventLogger(),
        check_interval=3600,
    )
    manager.rules.file = str(tmp_path / "access.toml")
    yield manager
    manager.stop()


async def opens(access: AccessManager, caller: Caller) -> set[str]:
    paths = ["public/a.ipynb", "staff/a.ipynb", "board.ipynb", "private.ipynb"]
    return {path for path in paths if await access.may_open(caller, path)}


async def viewer(access: AccessManager, *groups: str) -> Caller:
    caller = await access.by_session(await access.sessions.begin(Viewer("ann", groups), "10.0.0.1"))
    assert caller is not None
    return caller


async def link(access: AccessManager, notebook: int, **more: object) -> str:
    shared = await access.shares.change(notebook, {"enabled": True, **more}, "root")
    assert shared.access_token is not None
    return shared.access_token


async def visitor(access: AccessManager, visit: Visit) -> Caller | None:
    found = await access.by_page_token(access.tokens.page_token(visit))
    return found[0] if found is not None else None


async def test_who_may_open_what(access: AccessManager) -> None:
    everything = {"public/a.ipynb", "staff/a.ipynb", "board.ipynb", "private.ipynb"}
    assert await opens(access, OWNER) == everything
    assert await opens(access, NOBODY) == {"public/a.ipynb"}
    assert await opens(access, await viewer(access)) == {"public/a.ipynb", "staff/a.ipynb"}
    assert await opens(access, await viewer(access, "board")) == everything - {"private.ipynb"}
    for scopes, opened in ((["*"], everything), (["dashboard:read"], everything)):
        _, secret = await access.keys.create("ann", "job", scopes)
        key = await access.by_key(secret)
        assert key is not None
        assert await opens(access, key) == opened
    _, secret = await access.keys.create("ann", "job", ["notebook:write"])
    other = await access.by_key(secret)
    assert other is not None
    assert await opens(access, other) == set()


async def test_callers_are_known_by_their_credentials(access: AccessManager) -> None:
    info, secret = await access.keys.create("ann", "job", ["dashboard:read"])
    key = await access.by_key(secret)
    assert key is not None
    assert (key.kind, key.name, key.owner_id) == ("key", "ann", f"key:{info.id}")
    assert key.explicit
    one, two = await viewer(access, "board"), await viewer(access)
    assert (one.kind, one.name, one.groups, one.explicit) == ("viewer", "ann", {"board"}, False)
    # Kernels are of one session, so a lost laptop's end with its session.
    assert one.owner_id != two.owner_id
    assert await access.by_key("unknown") is None
    assert await access.by_session("unknown") is None
    assert await access.by_page_token("unknown") is None


async def test_a_links_visitor_opens_its_notebook_alone(
    access: AccessManager, new_notebook: NewNotebook
) -> None:
    token = await link(access, new_notebook("root/private.ipynb"))
    caller = await visitor(access, access.tokens.new_visit(share=token))
    assert caller is not None
    assert (caller.kind, caller.explicit) == ("visitor", True)
    # Not what is public either: a page's token is for this page.
    assert await opens(access, caller) == {"private.ipynb"}
    assert not await access.may_open(caller, "root/private.ipynb")
    other = await visitor(access, access.tokens.new_visit(share=token))
    assert other is not None
    assert other.owner_id != caller.owner_id


async def test_a_public_pages_visitor_opens_that_page_while_it_is_public(
    access: AccessManager, rules: Callable[[str], None]
) -> None:
    visit = access.tokens.new_visit(path="public/a.ipynb")
    caller = await visitor(access, visit)
    assert caller is not None
    assert await opens(access, caller) == {"public/a.ipynb"}
    assert not await access.may_open(caller, "public/b.ipynb")
    assert await visitor(access, access.tokens.new_visit(path="staff/a.ipynb")) is None
    rules("")
    access.rules.read()
    assert await visitor(access, visit) is None
    assert not await access.still_permitted(caller, "public/a.ipynb")


async def test_a_locked_link_needs_one_of_its_passwords(
    access: AccessManager, new_notebook: NewNotebook
) -> None:
    notebook = new_notebook("root/private.ipynb")
    token = await link(access, notebook, password_required=True)
    password, _ = await access.share_passwords.add(notebook, None, "", "root")
    assert await visitor(access, access.tokens.new_visit(share=token)) is None
    visit = access.tokens.new_visit(share=token, password_id=password.id)
    caller = await visitor(access, visit)
    assert caller is not None
    assert await access.still_permitted(caller, "private.ipynb")
    await access.shares.delete_password(notebook, password.id)
    assert await visitor(access, visit) is None
    assert not await access.still_permitted(caller, "private.ipynb")


async def test_a_visit_ends_when_its_link_is_disabled_or_gets_a_password(
    access: AccessManager, new_notebook: NewNotebook
) -> None:
    notebook = new_notebook("root/private.ipynb")
    token = await link(access, notebook)
    caller = await visitor(access, access.tokens.new_visit(share=token))
    assert caller is not None
    for change in ({"enabled": False}, {"enabled": True, "password_required": True}):
        assert await access.still_permitted(caller, "private.ipynb")
        await access.shares.change(notebook, change, "root")
        assert not await access.still_permitted(caller, "private.ipynb")
        undone = {"enabled": True, "password_required": False}
        await access.shares.change(notebook, undone, "root")


async def test_a_viewers_right_ends_with_the_session_the_rule_or_the_group(
    access: AccessManager, database: Database, rules: Callable[[str], None]
) -> None:
    accounts = Accounts(database)
    accounts.add("ann", "correct horse", ["board"])
    caller = await viewer(access, "board")
    assert await access.still_permitted(caller, "board.ipynb")
    accounts.set_groups("ann", [])
    # What the caller was when the connection was made does not count.
    assert not await access.still_permitted(caller, "board.ipynb")
    assert await access.still_permitted(caller, "staff/a.ipynb")
    rules("")
    access.rules.read()
    assert not await access.still_permitted(caller, "staff/a.ipynb")
    rules(RULES)
    access.rules.read()
    assert await access.still_permitted(caller, "staff/a.ipynb")
    await access.sessions.end(caller.credential_id)
    assert not await access.still_permitted(caller, "staff/a.ipynb")
    # Not as somebody who is not logged in, though that might be let in.
    assert not await access.still_permitted(caller, "public/a.ipynb")


async def test_a_keys_right_ends_with_the_key_or_its_scope(access: AccessManager, run: Run) -> None:
    info, secret = await access.keys.create("ann", "job", ["dashboard:read"])
    caller = await access.by_key(secret)
    assert caller is not None
    assert await access.still_permitted(caller, "private.ipynb")
    run(update(APIKey).values(scopes=["notebook:read"]))
    assert not await access.still_permitted(caller, "private.ipynb")
    run(update(APIKey).values(scopes=["*"]))
    assert await access.still_permitted(caller, "private.ipynb")
    await access.keys.revoke("ann", info.id)
    assert not await access.still_permitted(caller, "private.ipynb")


async def test_an_owner_and_nobody_are_permitted_what_they_may_open(access: AccessManager) -> None:
    assert await access.still_permitted(OWNER, "private.ipynb")
    assert await access.still_permitted(NOBODY, "public/a.ipynb")
    assert not await access.still_permitted(NOBODY, "staff/a.ipynb")


async def test_whoever_is_connected_by_a_link_is_out_when_it_is_disabled(
    access: AccessManager, new_notebook: NewNotebook
) -> None:
    notebook = new_notebook("root/private.ipynb")
    caller = await visitor(access, access.tokens.new_visit(share=await link(access, notebook)))
    assert caller is not None
    out = asyncio.Event()
    access.watch.add(caller, "private.ipynb", out.set)
    await access.shares.change(notebook, {"enabled": False}, "root")
    await asyncio.wait_for(out.wait(), 30)


async def test_whoever_is_connected_by_a_link_is_out_when_the_notebook_is_gone(
    access: AccessManager, new_notebook: NewNotebook
) -> None:
    notebook = new_notebook("root/private.ipynb")
    caller = await visitor(access, access.tokens.new_visit(share=await link(access, notebook)))
    assert caller is not None
    out = asyncio.Event()
    access.watch.add(caller, "private.ipynb", out.set)
    await access.notebooks.deleted("root")
    await asyncio.wait_for(out.wait(), 30)


async def test_a_session_that_ended_is_nobodys(access: AccessManager, run: Run) -> None:
    secret = await access.sessions.begin(Viewer("ann"), "10.0.0.1")
    caller = await access.by_session(secret)
    assert caller is not None
    run(update(LoginSession).values(expires_at=LoginSession.created_at))
    assert await access.by_session(secret) is None
    assert not await access.still_permitted(replace(caller, groups=frozenset({"board"})), "public")


async def test_the_servers_token_has_one_name(
    access: AccessManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "operator")
    assert access.token_user == "operator"


async def test_a_start_clears_up_the_activity_log(access: AccessManager) -> None:
    await access.activities.record("login", "ann")
    await access.start()
    assert (await access.activities.page(10, 1))[1] == 1


async def test_a_database_that_is_locked_keeps_the_server_from_nothing_else(
    access: AccessManager, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hurried = Database(url=database_url, busy_timeout=0.3)
    access.activities = Activities(hurried, timedelta(days=1))
    with writing(database_url, "activities"):
        await access.start()
    assert "does not answer" in caplog.text
    hurried.close()
