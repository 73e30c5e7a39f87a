"""`/_api/notebooks/PATH` over HTTP: the API page's statuses and bodies, and what the Node server got wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from traitlets import TraitError

from jupyter_dashboards_api.handlers.uploads import public_link
from tests.conftest import Fetch
from tests.notebooks.archives import FORM, bundle_of, form, notebook_bytes, tree, zip_of

from .conftest import refusal

NOTEBOOK = ("nbname.ipynb", notebook_bytes("first text"))


# Uploading


async def test_an_upload_answers_with_the_documented_fields(
    upload: Any, fetch: Fetch, jp_root_dir: Path, jp_base_url: str, http_server_port: Any
) -> None:
    response = await upload("p1", NOTEBOOK)
    assert response.code == 201
    port = http_server_port[-1]
    assert json.loads(response.body) == {
        "message": "Notebook successfully uploaded",
        "status": 201,
        "url": "/notebooks/p1",
        "link": f"http://127.0.0.1:{port}{jp_base_url}dashboards/p1",
    }
    assert list(tree(jp_root_dir)) == ["p1.ipynb"]


async def test_the_dashboard_is_where_link_says(
    upload: Any, fetch: Fetch, jp_base_url: str
) -> None:
    name = "déjà vu 100% #1?"
    response = await upload(quote(f"a b/{name}"), NOTEBOOK)
    body = json.loads(response.body)
    assert body["url"] == "/notebooks/" + quote(f"a b/{name}")
    assert body["link"].endswith("/dashboards/" + quote(f"a b/{name}"))
    page = await fetch("/dashboards/" + body["link"].partition("/dashboards/")[2])
    assert page.code == 200
    assert "first text" in page.body.decode()


async def test_url_keeps_the_query_string_as_the_old_server_did(upload: Any) -> None:
    response = await upload("p1?a=b%20c", NOTEBOOK)
    assert json.loads(response.body)["url"] == "/notebooks/p1?a=b%20c"


@pytest.mark.parametrize("name", ["bar/newname", "bar/newname.ipynb", "bar/newname.IPYNB"])
async def test_the_notebook_has_the_name_of_the_url_and_one_extension(
    upload: Any, jp_root_dir: Path, name: str
) -> None:
    response = await upload(name, NOTEBOOK)
    assert response.code == 201
    assert list(tree(jp_root_dir)) == ["bar/newname.ipynb"]
    assert json.loads(response.body)["link"].endswith("/dashboards/bar/newname")


async def test_an_upload_to_where_a_notebook_has_vanished_is_another_notebook(
    upload: Any, dashboards: Any, jp_root_dir: Path
) -> None:
    registry = dashboards.access.notebooks
    assert (await upload("p1", NOTEBOOK)).code == 201
    before = await registry.identify("p1.ipynb")
    assert (await upload("p1", NOTEBOOK)).code == 201
    assert await registry.find("p1.ipynb") == before
    (jp_root_dir / "p1.ipynb").unlink()
    assert (await upload("p1", NOTEBOOK)).code == 201
    assert await registry.find("p1.ipynb") is None


async def test_all_missing_folders_are_made(upload: Any, jp_root_dir: Path) -> None:
    assert (await upload("a/b/c", NOTEBOOK)).code == 201
    assert (await upload("x/y/z", ("z.zip", bundle_of()))).code == 201
    assert list(tree(jp_root_dir)) == ["a/b/c.ipynb", "x/y/z/index.ipynb"]


@pytest.mark.parametrize("filename", ["x.IPYNB", "x.ipynb", "C:\\here\\x.ipynb", "dir/x.Ipynb"])
async def test_the_extension_of_the_file_counts_in_any_case(upload: Any, filename: str) -> None:
    assert (await upload("p1", (filename, notebook_bytes()))).code == 201


async def test_a_zip_extension_counts_in_any_case(upload: Any, jp_root_dir: Path) -> None:
    assert (await upload("p1", ("b.ZIP", bundle_of()))).code == 201
    assert list(tree(jp_root_dir)) == ["p1/index.ipynb"]


async def test_the_name_of_the_field_and_text_fields_do_not_matter(
    upload: Any, fetch: Fetch
) -> None:
    assert (await upload("p1", NOTEBOOK, texts={"field": "anything"})).code == 201
    body = form(NOTEBOOK, field="other")
    response = await fetch("/_api/notebooks/p2", method="POST", headers=FORM, body=body)
    assert response.code == 201


async def test_an_uploaded_index_is_shown_for_its_folder(upload: Any, fetch: Fetch) -> None:
    assert (await upload("index", NOTEBOOK)).code == 201
    assert "first text" in (await fetch("/dashboards")).body.decode()


async def test_a_notebook_beats_a_folder_of_the_same_name(upload: Any, fetch: Fetch) -> None:
    await upload("it_dupe/it_foo", ("f.ipynb", notebook_bytes("in the folder")))
    await upload("it_dupe", NOTEBOOK)
    assert "first text" in (await fetch("/dashboards/it_dupe")).body.decode()
    assert "in the folder" in (await fetch("/dashboards/it_dupe/it_foo")).body.decode()


async def test_a_new_version_is_shown_at_once(upload: Any, fetch: Fetch) -> None:
    await upload("p1", NOTEBOOK)
    assert "first text" in (await fetch("/dashboards/p1")).body.decode()
    assert (await upload("p1", ("x.ipynb", notebook_bytes("second text")))).code == 201
    page = (await fetch("/dashboards/p1")).body.decode()
    assert "second text" in page
    assert "first text" not in page


async def test_a_bundle_is_shown_with_its_resources_and_replaced_whole(
    upload: Any, fetch: Fetch, jp_root_dir: Path
) -> None:
    assert (
        await upload("b", ("b.zip", bundle_of("one", hello_txt="old", gone_txt="x")))
    ).code == 201
    assert "one" in (await fetch("/dashboards/b")).body.decode()
    assert (await fetch("/dashboards/b/hello.txt")).body == b"old"
    assert (await upload("b", ("c.zip", bundle_of("two", hello_txt="new")))).code == 201
    assert "two" in (await fetch("/dashboards/b")).body.decode()
    assert (await fetch("/dashboards/b/hello.txt")).body == b"new"
    assert list(tree(jp_root_dir)) == ["b/hello.txt", "b/index.ipynb"]


# Refused uploads


BAD_FILES: list[tuple[list[tuple[str, bytes]], str]] = [
    ([], "No file provided"),
    ([NOTEBOOK, ("other.ipynb", notebook_bytes())], "Too many files"),
    ([("x.py", b"print()")], "Wrong file extension"),
    ([("x", notebook_bytes())], "Wrong file extension"),
    ([("x.ipynb.exe", notebook_bytes())], "Wrong file extension"),
    ([("x.ipynb", b"")], "is empty"),
    ([("x.ipynb", b"not json")], "is not JSON"),
    ([("x.ipynb", b"{}")], "not a Jupyter notebook"),
    ([("x.zip", b"not a zip")], "not a zip archive"),
    ([("x.zip", b"")], "not a zip archive"),
    ([("x.zip", bundle_of() + b"junk" * 50_000)], "not a zip archive"),
    ([("x.zip", zip_of({"a.ipynb": notebook_bytes()}))], "no file index.ipynb"),
    ([("x.zip", zip_of({"top/index.ipynb": notebook_bytes()}))], "There is one in “top”"),
    ([("x.zip", zip_of({"index.ipynb/": b"", "index.ipynb/x": b""}))], "no file index.ipynb"),
]


async def test_a_bad_file_is_refused_with_its_reason_and_changes_nothing(
    upload: Any, jp_root_dir: Path
) -> None:
    await upload("p1", NOTEBOOK)
    before = tree(jp_root_dir)
    for files, says in BAD_FILES:
        for name in ("p1", "new/place/p2"):
            status, message = refusal(await upload(name, *files))
            assert status == 400, says
            assert says in message
    assert tree(jp_root_dir) == before
    assert not (jp_root_dir / "new").exists()


BAD_NAMES = [
    "p1/",
    ".ipynb",
    "a/.ipynb",
    "a/.IPYNB/",
    ".hidden",
    "a/.hidden/b",
    "../escape",
    "..%2fescape",
    "..%2F..%2Fescape",
    "%2e%2e/escape",
    "a/../../escape",
    "a//b",
    "a%00b",
    "a%0ab",
    "a%5cb",
    "%20",
    "n" * 201,
    "p.uploading-0123456789abcdef",
    "%ff",
]


async def test_a_name_that_cannot_be_a_dashboards_is_refused(
    upload: Any, jp_root_dir: Path
) -> None:
    around = sorted(jp_root_dir.parent.iterdir())
    for name in BAD_NAMES:
        for file in (NOTEBOOK, ("b.zip", bundle_of())):
            assert refusal(await upload(name, file))[0] == 400, name
    assert tree(jp_root_dir) == {}
    assert sorted(jp_root_dir.parent.iterdir()) == around


async def test_an_upload_needs_a_name(upload: Any, fetch: Fetch) -> None:
    assert refusal(await upload("", NOTEBOOK))[0] == 400
    response = await fetch("/_api/notebooks", method="POST", headers=FORM, body=form(NOTEBOOK))
    assert response.code == 404


async def test_what_is_not_a_form_is_refused(fetch: Fetch) -> None:
    for headers, body in (
        ({"Content-Type": "application/json"}, notebook_bytes()),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"file=x"),
        ({"Content-Type": "multipart/form-data"}, form(NOTEBOOK)),
        ({"Content-Type": "multipart/form-data; boundary=other"}, form(NOTEBOOK)),
        ({"Content-Type": "multipart/form-dataX; boundary=limit"}, form(NOTEBOOK)),
        ({**FORM, "Content-Encoding": "gzip"}, form(NOTEBOOK)),
        (FORM, form(NOTEBOOK)[:-20]),
        (FORM, b""),
    ):
        response = await fetch("/_api/notebooks/p1", method="POST", headers=headers, body=body)
        assert refusal(response)[0] == 400, headers


async def test_other_methods_are_not_allowed(fetch: Fetch) -> None:
    for method in ("PUT", "PATCH"):
        response = await fetch(
            "/_api/notebooks/p1", method=method, headers=FORM, body=form(NOTEBOOK)
        )
        assert refusal(response)[0] == 405
    assert refusal(await fetch("/_api/notebooks/p1"))[0] == 405


async def test_a_file_in_the_way_is_not_lost(upload: Any, jp_root_dir: Path) -> None:
    (jp_root_dir / "taken").write_text("precious")
    assert refusal(await upload("taken", ("b.zip", bundle_of())))[0] == 409
    assert refusal(await upload("taken/below", NOTEBOOK))[0] == 400
    (jp_root_dir / "n.ipynb").mkdir()
    assert refusal(await upload("n", NOTEBOOK))[0] == 409
    assert tree(jp_root_dir) == {"taken": b"precious"}


# Deleting


async def test_a_notebook_is_deleted_with_or_without_extension(
    upload: Any, delete: Any, fetch: Fetch, jp_root_dir: Path
) -> None:
    for name, url in (("a", "a"), ("f/b", "f/b.ipynb"), ("déjà vu", quote("déjà vu"))):
        await upload(quote(name), NOTEBOOK)
        assert (await fetch(f"/dashboards/{quote(name)}")).code == 200
        response = await delete(url)
        assert (response.code, response.body) == (204, b"")
        assert (await fetch(f"/dashboards/{quote(name)}")).code == 404
    assert tree(jp_root_dir) == {}


async def test_a_bundle_is_deleted_whole(
    upload: Any, delete: Any, fetch: Fetch, jp_root_dir: Path
) -> None:
    archive = zip_of(
        {"index.ipynb": notebook_bytes(), "data/deep/x.csv": "1", "more.ipynb": notebook_bytes()}
    )
    await upload("f/b", ("b.zip", archive))
    assert (await delete("f/b")).code == 204
    assert (await fetch("/dashboards/f/b")).code == 404
    assert not (jp_root_dir / "f" / "b").exists()


async def test_deleting_a_bundles_index_leaves_a_plain_folder(
    upload: Any, delete: Any, jp_root_dir: Path
) -> None:
    await upload("b", ("b.zip", bundle_of(hello_txt="hi")))
    assert (await delete("b/index")).code == 204
    assert tree(jp_root_dir) == {"b/hello.txt": b"hi"}


async def test_a_notebook_goes_before_a_folder_of_its_name(
    upload: Any, delete: Any, write_notebook: Any, jp_root_dir: Path
) -> None:
    await upload("b", ("b.zip", bundle_of()))
    write_notebook("b.ipynb")
    assert (await delete("b")).code == 204
    assert list(tree(jp_root_dir)) == ["b/index.ipynb"]
    assert (await delete("b")).code == 204
    assert tree(jp_root_dir) == {}


NO_DASHBOARDS = """
/ b/hello.txt plain plain/ b/ b.ipynb nothing nothing.ipynb . .. %2e%2e ..%2f ..%2froot_dir a%00 .ipynb %5c
""".split()


async def test_what_is_no_dashboard_cannot_be_deleted(
    upload: Any, delete: Any, write_notebook: Any, jp_root_dir: Path
) -> None:
    await upload("b", ("b.zip", bundle_of(hello_txt="hi")))
    write_notebook("plain/x.ipynb")
    write_notebook("index.ipynb")
    before = tree(jp_root_dir)
    for name in ("", *NO_DASHBOARDS):
        answer = refusal(await delete(name))
        assert answer == (400, "Resource to be deleted must be a dashboard"), name
    assert tree(jp_root_dir) == before


# The link


@pytest.mark.parametrize(
    ("pattern", "protocol", "host", "link"),
    [
        ("", "https", "h.org:8443", "https://h.org:8443/base/dashboards/a%20b"),
        ("https://x.org", "http", "h", "https://x.org/dashboards/a%20b"),
        ("https://x.org/", "http", "h", "https://x.org/dashboards/a%20b"),
        ("{protocol}://{host}:{port}{base_url}", "http", "h", "http://h:80/base/dashboards/a%20b"),
        ("{protocol}://{host}:{port}", "https", "h", "https://h:443/dashboards/a%20b"),
        ("{protocol}://{host}:{port}", "http", "h:81", "http://h:81/dashboards/a%20b"),
        ("{protocol}://{host}:{port}", "http", "[::1]:81", "http://[::1]:81/dashboards/a%20b"),
        ("{protocol}://{host}:{port}", "http", "[::1]", "http://[::1]:80/dashboards/a%20b"),
    ],
)
def test_the_public_link_is_made_from_the_request_and_the_pattern(
    pattern: str, protocol: str, host: str, link: str
) -> None:
    assert public_link(pattern, protocol, host, "/base/", "a b") == link


@pytest.mark.parametrize("extension_config", [{"NotebookUploads": {"public_link": None}}])
async def test_the_link_can_be_switched_off(upload: Any) -> None:
    assert "link" not in json.loads((await upload("p1", NOTEBOOK)).body)


@pytest.mark.parametrize(
    "extension_config", [{"NotebookUploads": {"public_link": "https://dash.example.org{base_url}"}}]
)
async def test_the_link_can_be_configured(upload: Any, jp_base_url: str) -> None:
    link = json.loads((await upload("p1", NOTEBOOK)).body)["link"]
    assert link == f"https://dash.example.org{jp_base_url}dashboards/p1"


def test_an_unknown_placeholder_is_a_configuration_error(dashboards: Any) -> None:
    with pytest.raises(TraitError, match="hostname"):
        dashboards.uploads.public_link = "https://{hostname}"
