"""The notebooks API: create, delete, rename, fetch, list, count. Each row of §4.1 and §4.2 of its specification is a test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import nbformat
import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager

from tests.conftest import Fetch

from .callers import Callers
from .notebooks_client import (
    API,
    CREATING,
    DELETED,
    NO_ID,
    NONE,
    RENAMED,
    RENAMING,
    NotebooksClient,
    message_of,
    path_of,
)


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"token_user": "admin"}}


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    # A folder may go with what is in it, as in the trash of a desktop.
    jp_server_config.FileContentsManager.always_delete_dir = True
    return jp_server_config


# Create


async def test_create_makes_a_notebook_named_by_time_and_user_and_tells_its_id(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    before = time.time()
    made = await notebooks.good("POST")
    assert made.keys() == {"username", "notebook_name", "path", "notebook_id"}
    assert made["username"] == "admin"
    name = made["notebook_name"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d_admin\.ipynb", name)
    assert made["path"] == f"/notebooks/admin/{name}"
    assert UUID(made["notebook_id"]).version == 4
    stored = nbformat.read(jp_root_dir / "notebooks" / "admin" / name, 4)
    assert stored.metadata.kernelspec.name == "python3"
    named = datetime.strptime(name[:19], "%Y-%m-%d_%H:%M:%S").replace(tzinfo=UTC).timestamp()
    assert int(before) <= named <= time.time()
    assert (await notebooks.record(made["notebook_id"]))["created_at"] == named * 1000


async def test_creates_in_one_second_make_as_many_notebooks_with_numbers_in_their_names(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = list(await asyncio.gather(*(notebooks.good("POST") for _ in range(12))))
    assert len({each["notebook_id"] for each in made}) == 12
    names = {each["notebook_name"] for each in made}
    assert len(names) == 12
    assert {each.name for each in (jp_root_dir / "notebooks/admin").iterdir()} >= names
    counts = Counter(name[:19] for name in names)
    for second, count in counts.items():
        expected = {f"{second}_admin.ipynb"} | {
            f"{second}_admin_{n}.ipynb" for n in range(1, count)
        }
        assert {name for name in names if name.startswith(second)} == expected


async def test_a_file_name_with_colons_can_be_asked_of_other_apis_percent_encoded(
    notebooks: NotebooksClient, fetch: Fetch
) -> None:
    made = await notebooks.good("POST")
    response = await fetch(f"/api/contents{quote(made['path'])}?content=0")
    assert json.loads(response.body)["name"] == made["notebook_name"]


async def test_create_says_why_the_file_can_not_be_made(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    (jp_root_dir / "notebooks").write_text("in the way")
    message = await notebooks.bad(400, "POST")
    assert message.startswith(CREATING)
    assert "is a file" in message
    assert await notebooks.ids() == []


@pytest.mark.parametrize(
    "extension_config", [{"NotebooksManager": {"folder": ""}, "AccessManager": {"token_user": "a"}}]
)
async def test_notebooks_may_lie_right_in_the_root(notebooks: NotebooksClient) -> None:
    made = await notebooks.good("POST")
    assert made["path"] == f"/a/{made['notebook_name']}"


@pytest.mark.parametrize(
    "extension_config",
    [{"AccessManager": {"token_user": name}} for name in ("../../escape", "x" * 120, "é\u2028")],
)
async def test_no_user_name_leaves_the_folder_of_notebooks(
    notebooks: NotebooksClient, jp_root_dir: Path, extension_config: dict[str, Any]
) -> None:
    made = await notebooks.good("POST")
    assert made["username"] == extension_config["AccessManager"]["token_user"]
    _, top, folder, name = made["path"].split("/")
    assert top == "notebooks"
    assert not folder.startswith(".")
    assert len(name.encode()) < 200
    assert (jp_root_dir / "notebooks" / folder / name).is_file()
    assert sorted(each.name for each in jp_root_dir.iterdir()) == ["notebooks"]


@pytest.mark.parametrize("extension_config", [{"AccessManager": {"token_user": "nobody"}}])
async def test_a_server_of_root_gives_the_file_to_the_account_of_its_maker(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = await notebooks.good("POST")
    owner = (jp_root_dir / made["path"].strip("/")).owner()
    assert owner == ("nobody" if os.geteuid() == 0 else Path.home().owner())


class NoDisk(FileContentsManager):
    """A contents manager whose files are elsewhere than it says."""

    def _get_os_path(self, path: str) -> str:
        found = super()._get_os_path(path)
        return found if not self.is_lost else f"{found}.elsewhere"

    is_lost = False

    def save(self, model: Any, path: str = "") -> Any:
        self.is_lost = False
        saved = super().save(model, path)
        self.is_lost = model["type"] == "notebook"
        return saved

    def get(self, path: str, *args: Any, **options: Any) -> Any:
        self.is_lost = False
        return super().get(path, *args, **options)

    def delete(self, path: str) -> Any:
        self.is_lost = False
        return super().delete(path)


class TestOwnership:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Any) -> Any:
        jp_server_config.ServerApp.contents_manager_class = NoDisk
        jp_server_config.AccessManager.token_user = "nobody"
        return jp_server_config

    async def test_create_says_when_the_file_can_not_be_given_to_its_maker(
        self, notebooks: NotebooksClient, jp_root_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nobody else gives files away; of a file that is not there, nobody can.
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        message = await notebooks.bad(400, "POST")
        assert message.startswith("Error occurred while setting ownership of the notebook file: ")
        # Nothing is left of it.
        assert await notebooks.ids() == []
        assert list((jp_root_dir / "notebooks/nobody").glob("*.ipynb")) == []


# Delete


@pytest.mark.parametrize("field", ["nbk_ids", "nbkIds"])
async def test_delete_deletes_the_files_and_their_records(
    notebooks: NotebooksClient, jp_root_dir: Path, field: str
) -> None:
    made = [await notebooks.create() for _ in range(3)]
    assert await notebooks.good("DELETE", "", {field: made[:2]}) == DELETED
    assert await notebooks.ids() == made[2:]
    assert len(list((jp_root_dir / "notebooks/admin").glob("*.ipynb"))) == 1
    assert await notebooks.bad(400, "GET", made[0]) == "Notebook ID invalid."


async def test_ids_may_stand_in_the_query_and_one_may_stand_alone(
    notebooks: NotebooksClient,
) -> None:
    made = [await notebooks.create() for _ in range(3)]
    path = f"?nbkIds={made[0]}&nbkIds={made[1]}"
    assert await notebooks.good("DELETE", path) == DELETED
    assert await notebooks.good("DELETE", "", {"nbk_ids": made[2]}) == DELETED
    assert await notebooks.ids() == []


async def test_delete_without_ids_is_400(notebooks: NotebooksClient) -> None:
    for body in (None, {}, {"nbk_ids": []}, {"nbk_ids": None}, {"nbk_ids": 7}):
        assert await notebooks.bad(400, "DELETE", "", body) == "Notebook IDs are required"


async def test_delete_of_unknown_ids_alone_is_200_with_the_error_body(
    notebooks: NotebooksClient,
) -> None:
    for ids in ([NO_ID], ["no id"], [1, None], ["../../etc/passwd"]):
        assert await notebooks.bad(200, "DELETE", "", {"nbk_ids": ids}) == "No notebooks deleted"


async def test_delete_with_some_unknown_ids_deletes_the_known(notebooks: NotebooksClient) -> None:
    made = await notebooks.create()
    assert await notebooks.good("DELETE", "", {"nbk_ids": [NO_ID, made, made]}) == DELETED
    assert await notebooks.ids() == []
    assert await notebooks.bad(200, "DELETE", "", {"nbk_ids": [made]}) == "No notebooks deleted"


class Keeps(FileContentsManager):
    """A contents manager that does not delete everything."""

    def delete_file(self, path: str) -> None:
        if path.endswith("kept.ipynb"):
            raise PermissionError(f"/tmp/secret/{path}")
        super().delete_file(path)


class TestRefusedDeletion:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Any) -> Any:
        jp_server_config.ServerApp.contents_manager_class = Keeps
        return jp_server_config

    async def test_delete_says_why_a_file_can_not_be_deleted_and_deletes_the_others(
        self, notebooks: NotebooksClient
    ) -> None:
        first, second = [await notebooks.create() for _ in range(2)]
        await notebooks.good("PUT", first, {"new_name": "kept"})
        message = await notebooks.bad(400, "DELETE", "", {"nbk_ids": [first, second]})
        assert message.startswith("Error occurred while deleting the notebook file: ")
        assert await notebooks.ids() == [first]


async def test_delete_of_a_body_that_can_not_be_read_says_so(
    notebooks: NotebooksClient,
) -> None:
    for body in ("{", "[1]", '"x"', "nbk_ids: [a]", "{a: [", "{&a x: *b}"):
        message = await notebooks.bad(400, "DELETE", "", body)
        assert message.startswith("Error occurred during notebook deletion: ")


# Rename


async def test_rename_takes_the_name_of_several_fields_and_appends_the_extension(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = await notebooks.create()
    for number, field in enumerate(("new_name", "notebook_name", "name")):
        assert await notebooks.good("PUT", made, {field: f"test-{number}"}) == RENAMED
        record = await notebooks.record(made)
        assert record["notebook_name"] == f"test-{number}.ipynb"
        assert record["attributes"] == {"path": "/notebooks/admin/"}
        assert (jp_root_dir / f"notebooks/admin/test-{number}.ipynb").is_file()
        assert await notebooks.good("PUT", f"{made}/?{field}=query-{number}.ipynb") == RENAMED
        assert (await notebooks.record(made))["notebook_name"] == f"query-{number}.ipynb"
    # The same again changes nothing.
    assert await notebooks.good("PUT", made, {"new_name": "query-2"}) == RENAMED


async def test_rename_tells_who_and_when(notebooks: NotebooksClient, callers: Callers) -> None:
    made = await notebooks.create()
    before = await notebooks.record(made)
    key = await callers.key("notebook:write")
    response = await key.send("PUT", f"{API}{made}", {"new_name": "b"})
    assert json.loads(response.body) == RENAMED
    after = await notebooks.record(made)
    assert (before["updated_by"], after["updated_by"]) == ("admin", "owner")
    assert after["updated_at"] >= before["updated_at"]
    assert (after["created_by"], after["created_at"]) == ("admin", before["created_at"])


async def test_rename_of_an_unknown_id_is_400(notebooks: NotebooksClient) -> None:
    for notebook_id in (NO_ID, "no-id", "..%2F..%2Fx", "%00"):
        message = await notebooks.bad(400, "PUT", notebook_id, {"new_name": "a"})
        assert message == "No Notebook found"


async def test_rename_without_a_name_is_400(notebooks: NotebooksClient) -> None:
    made = await notebooks.create()
    for body in (None, {}, {"new_name": ""}, {"new_name": "  "}, {"name": None}):
        assert await notebooks.bad(400, "PUT", made, body) == "Missing new name"


async def test_rename_without_an_id_is_400(notebooks: NotebooksClient) -> None:
    for api in (API, API.rstrip("/")):
        message = await notebooks.bad(400, "PUT", "", {"new_name": "a"}, api=api)
        assert message == "Notebook ID is missing"


async def test_rename_to_what_is_no_name_of_a_notebook_is_404(notebooks: NotebooksClient) -> None:
    made = await notebooks.create()
    before = await notebooks.record(made)
    paths = ("a/b", "../a", "..", "/a", "a\\b", ".a")
    for name in (*paths, "a\nb", "a\x00", "x" * 251, "é" * 130, 7, ["a"], "\ud800"):
        message = await notebooks.bad(404, "PUT", made, {"new_name": name})
        assert message.startswith(RENAMING)
    assert await notebooks.record(made) == before


async def test_rename_to_a_name_that_is_taken_is_404_and_overwrites_nothing(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = await notebooks.create()
    taken = jp_root_dir / "notebooks/admin/taken.ipynb"
    taken.write_text("mine")
    message = await notebooks.bad(404, "PUT", made, {"new_name": "taken"})
    assert message.startswith(RENAMING)
    assert "already" in message
    assert taken.read_text() == "mine"


async def test_renames_to_one_name_at_the_same_time_overwrite_nothing(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = [await notebooks.create() for _ in range(4)]
    answers = await asyncio.gather(
        *(notebooks.ask("PUT", each, {"new_name": "one"}) for each in made)
    )
    assert sorted(each.code for each in answers) == [200, 404, 404, 404]
    assert len(list((jp_root_dir / "notebooks/admin").glob("*.ipynb"))) == 4
    assert await notebooks.ids() == made


async def test_rename_of_a_file_that_is_gone_is_400(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = await notebooks.create()
    (jp_root_dir / await path_of(notebooks, made)).unlink()
    assert await notebooks.bad(400, "PUT", made, {"new_name": "a"}) == "No Notebook found"


# Fetch, list, count


async def test_a_record_has_the_documented_fields_in_the_detail_and_in_the_list(
    notebooks: NotebooksClient,
) -> None:
    made = await notebooks.good("POST")
    record = await notebooks.record(made["notebook_id"])
    assert record == {
        "schedule": NONE,
        "notebook_name": made["notebook_name"],
        "updated_at": record["created_at"],
        "updated_by": "admin",
        "created_at": record["created_at"],
        "last_run": None,
        "attributes": {"path": "/notebooks/admin/"},
        "created_by": "admin",
        "no_of_runs": 0,
        "notebook_id": made["notebook_id"],
        "status": "Not Scheduled",
    }
    assert isinstance(record["created_at"], int)
    assert record["created_at"] % 1000 == 0
    # Never run is null in the one and "-" in the other, as documented.
    assert await notebooks.good("GET", "_all") == [{**record, "last_run": "-"}]


async def test_fetch_of_an_id_that_is_none_is_400(notebooks: NotebooksClient) -> None:
    for notebook_id in (NO_ID, "no-id", "_nothing", "1", "%E2%82%AC", "%00", "a" * 3000):
        assert await notebooks.bad(400, "GET", notebook_id) == "Notebook ID invalid."


async def test_the_list_is_empty_at_first_and_has_what_this_api_made_only(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    assert await notebooks.good("GET", "_all") == []
    made = [await notebooks.create() for _ in range(2)]
    (jp_root_dir / "notebooks/admin/other.ipynb").write_text("{}")
    assert await notebooks.ids() == made


async def test_the_count_has_its_three_names(notebooks: NotebooksClient) -> None:
    names = ["Total Notebooks", "Not Scheduled", "Scheduled"]
    assert await notebooks.good("GET", "_count") == dict.fromkeys(names, 0)
    await notebooks.create()
    await notebooks.create()
    assert await notebooks.good("GET", "_count") == dict(zip(names, (2, 2, 0), strict=True))


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (NO_ID, "Error occurred during notebook retrieval: "),
        ("_all", "Error occurred while retrieving notebook information: "),
        ("_count", "Error occurred while retrieving notebook metrics: "),
    ],
)
async def test_a_database_that_does_not_answer_is_said_in_the_documented_words(
    notebooks: NotebooksClient, dashboards: Any, path: str, prefix: str
) -> None:
    dashboards.database.engine.dispose()
    file = Path(dashboards.database.engine.url.database)
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()
    file.mkdir()
    # For now, and not by the caller's fault: 503, where the document knows only 400.
    response = await notebooks.ask("GET", path)
    assert message_of(response, 503).startswith(prefix)
    assert int(response.headers["Retry-After"]) > 0
