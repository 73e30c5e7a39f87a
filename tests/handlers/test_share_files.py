"""`/shared/TOKEN/~/FILE_TOKEN/FILE`: the images and the bundle's files that a link's page shows, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_markdown_cell

from tests.conftest import Write

from .callers import Callers, page_config
from .shared import BOARD, FOLDER, SECRET, Link, told, write_board


@pytest.fixture
def bundle(write_notebook: Write, jp_root_dir: Path) -> Path:
    """A bundle with what belongs to it, beside and around it what doesn't."""
    write_board(write_notebook)
    write_notebook(f"{FOLDER}/second.ipynb", new_markdown_cell("s3cret second"))
    write_notebook(f"{FOLDER}/inner/index.ipynb", new_markdown_cell("s3cret inner"))
    write_notebook("other.ipynb", new_markdown_cell("s3cret other"))
    folder = jp_root_dir / FOLDER
    files = {
        "data.csv": b"a,b\n",
        "style.css": b"p{}",
        "page.html": b"<script>1</script>",
        "sub/größe #1.txt": b"text",
        "code.py": SECRET,
        "settings.json": SECRET,
        ".hidden.txt": SECRET,
        ".git/data.csv": SECRET,
        "X.IPYNB": SECRET,
        "inner/data.csv": SECRET,
        "../outside.csv": SECRET,
    }
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


async def base_of(link: Link, **options: Any) -> str:
    """The address, below the server's base URL, that relative addresses in a link's page begin with."""
    page = BeautifulSoup((await link.get(**options)).body, "html.parser")
    base = page.find("base")
    assert base is not None
    address = str(base["href"])
    assert address.startswith(f"/a%40b/shared/{link.token}/~/")
    return address.removeprefix("/a%40b")


async def test_the_images_of_a_link_s_page_are_had_by_the_page_alone(
    bundle: Path, callers: Callers
) -> None:
    link = await Link.to(callers)
    page = BeautifulSoup((await link.get()).body, "html.parser")
    base = await base_of(link)
    images = [str(image["src"]) for image in page.find_all("img")]
    assert len(images) == 1
    for source in images:
        response = await callers.nobody().send("GET", urljoin(base, source))
        assert response.code == 200
        assert response.headers["Content-Type"] == "image/png"
        assert response.body.startswith(b"\x89PNG")
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "no-referrer"
        head = await callers.nobody().send("HEAD", urljoin(base, source))
        assert (head.code, head.body) == (200, b"")
        # Not where those are who can log in.
        name = source.rpartition("/")[2]
        direct = await callers.nobody().send(
            "GET", f"/_api/images/{name}?path=s3cret%20folder/index.ipynb"
        )
        assert direct.code == 401


async def test_the_files_of_a_bundle_are_those_of_its_link(bundle: Path, callers: Callers) -> None:
    base = await base_of(await Link.to(callers))
    for name, kind, content in (
        ("data.csv", "text/csv", b"a,b\n"),
        ("style.css", "text/css", b"p{}"),
        ("./data.csv", "text/csv", b"a,b\n"),
        ("sub/gr%C3%B6%C3%9Fe%20%231.txt", "text/plain", b"text"),
    ):
        response = await callers.nobody().send("GET", urljoin(base, name))
        assert response.code == 200, name
        assert response.headers["Content-Type"].startswith(kind)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Robots-Tag"] == "noindex"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.body == content
    html = await callers.nobody().send("GET", f"{base}page.html")
    policy = html.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize(
    "name",
    [
        *(
            "index.ipynb",
            "index",
            "second.ipynb",
            "second",
            "X.IPYNB",
            "inner/index.ipynb",
            "inner",
        ),
        *("inner/data.csv", "code.py", "settings.json", ".hidden.txt", ".git/data.csv"),
        *("../outside.csv", "%2e%2e/outside.csv", "..%2foutside.csv", "sub/../../outside.csv"),
        *("/outside.csv", "%2foutside.csv", "..%5coutside.csv", "sub", "missing.csv", "%00", "%ff"),
        *("_images/x.png", "_images/../data.csv", "_images/" + "0" * 64 + ".png", "_images/"),
        *("../other.ipynb", "~/data.csv", "data.csv/", "outside.csv"),
    ],
)
async def test_nothing_else_is_had_by_a_link(
    bundle: Path, callers: Callers, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    link = await Link.to(callers)
    base = await base_of(link)
    for method in ("GET", "HEAD"):
        response = await callers.nobody().send(method, base + name)
        if name == "data.csv/":
            assert response.code in (200, 404)
        else:
            assert response.code in (400, 404)
        assert SECRET not in told(response)
    assert link.token not in caplog.text


async def test_beside_a_notebook_that_is_no_bundle_nothing_is_had(
    bundle: Path, callers: Callers, write_notebook: Write
) -> None:
    write_board(write_notebook, f"{FOLDER}/board.ipynb")
    write_board(write_notebook, "index.ipynb")
    for path, name in ((f"{FOLDER}/board.ipynb", "data.csv"), ("index.ipynb", "outside.csv")):
        base = await base_of(await Link.to(callers, path))
        assert (await callers.nobody().send("GET", base + name)).code == 404


async def test_tokens_of_files_and_of_pages_are_not_each_other_s(
    bundle: Path, callers: Callers, write_notebook: Write
) -> None:
    write_board(write_notebook, "two/index.ipynb")
    link, two = await Link.to(callers), await Link.to(callers, "two/index.ipynb")
    await link.add_password("open, sesame")
    share_token = await link.share_token("open, sesame")
    opened = {"headers": {"Authorization": f"Bearer {share_token}"}}
    base, theirs = await base_of(link, **opened), await base_of(two)
    file_token, their_token = base.split("/")[4], theirs.split("/")[4]
    page_token = page_config(await link.get(**opened))["pageToken"]
    assert (await callers.nobody().send("GET", f"{base}data.csv")).code == 200
    for wrong in (their_token, page_token, share_token, "x", "a.b.c", file_token[:-3] + "AAA"):
        response = await callers.nobody().send("GET", f"/shared/{link.token}/~/{wrong}/data.csv")
        assert response.code == 404
    # Nor with its own token below another link.
    response = await callers.nobody().send("GET", f"/shared/{two.token}/~/{file_token}/data.csv")
    assert response.code == 404
    for token in (file_token, their_token):
        for headers in (
            {"X-Dashboards-Page-Token": token},
            {"Authorization": f"Bearer {token}"},
        ):
            client = callers.nobody()
            asked = await client.send("POST", "/_api/kernels", {}, headers=headers)
            assert asked.code == 401
            renewed = await client.send("POST", "/_api/page_token", {}, headers=headers)
            assert renewed.code == 401
    page = await link.get(headers={"Authorization": f"Bearer {file_token}"})
    assert b'{"type":"unlock"}' in page.body


async def test_files_end_with_the_right_to_their_link(bundle: Path, callers: Callers) -> None:
    link = await Link.to(callers)
    number = await link.add_password("open, sesame")
    bearer = {"Authorization": f"Bearer {await link.share_token('open, sesame')}"}
    file = await base_of(link, headers=bearer) + "data.csv"
    assert (await callers.nobody().send("GET", file)).code == 200
    await link.change(enabled=False)
    assert (await callers.nobody().send("GET", file)).code == 404
    await link.change(enabled=True)
    assert (await callers.nobody().send("GET", file)).code == 200
    await link.ask("DELETE", f"/passwords/{number}")
    assert (await callers.nobody().send("GET", file)).code == 404


async def test_files_follow_their_bundle(bundle: Path, callers: Callers) -> None:
    link = await Link.to(callers)
    file = await base_of(link) + "data.csv"
    body = json.dumps({"path": "moved"})
    response = await callers.owner().send("PATCH", "/api/contents/s3cret%20folder", body)
    assert response.code == 200
    assert (await callers.nobody().send("GET", file)).body == b"a,b\n"
    assert BOARD not in (await callers.nobody().send("GET", file)).body.decode()
