"""Listings and resources over HTTP, and paths that try to leave the folder: specs/dashboards.md §1.3."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jupyter_dashboards_api.dashboards.staging import staging_path
from tests.conftest import Fetch, Write

from .test_pages import BASE, hello, policy, rows, soup


async def test_a_listing_shows_folders_dashboards_and_files_and_the_way_up(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook("sub/plot 10.ipynb", hello())
    write_notebook("sub/Plot 9.ipynb", hello())
    write_notebook("sub/bundle/index.ipynb", hello())
    write_notebook("sub/.hidden.ipynb", hello())
    write_notebook("sub/" + staging_path("x.ipynb", "uploading"), hello())
    (jp_root_dir / "sub" / "inner").mkdir()
    (jp_root_dir / "sub" / "data.csv").write_text("1")
    (jp_root_dir / "sub" / "secret.py").write_text("1")
    (jp_root_dir / "sub" / "Raw.IPYNB").write_text("{}")
    for root in ("dashboards", "dashboards-plain"):
        response = await fetch(f"/{root}/sub")
        assert response.code == 200
        here = f"{BASE}/{root}"
        assert rows(response) == [
            ("..", here),
            ("inner", f"{here}/sub/inner"),
            ("bundle", f"{here}/sub/bundle"),
            ("Plot 9", f"{here}/sub/Plot%209"),
            ("plot 10", f"{here}/sub/plot%2010"),
            ("data.csv", f"{here}/sub/data.csv"),
        ]
        assert rows(await fetch(f"/{root}/sub/inner")) == [("..", f"{here}/sub")]
    top = await fetch("/dashboards")
    assert rows(top) == [("sub", f"{BASE}/dashboards/sub")]
    title = soup(top).title
    assert title
    assert title.get_text() == "Dashboards"
    assert soup(await fetch("/dashboards/sub")).select_one("header nav[aria-label=Breadcrumb]")
    assert not soup(await fetch("/dashboards-plain/sub")).select("header, nav")


async def test_a_listing_is_searched(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook("Sales & more.ipynb", hello())
    write_notebook("costs.ipynb", hello())
    response = await fetch("/dashboards?q=SALES%20%26")
    assert [name for name, _ in rows(response)] == ["Sales & more"]
    field = soup(response).select_one("form[role=search] input[name=q]")
    assert field
    assert field["value"] == "SALES &"
    nothing = await fetch("/dashboards?q=%22%3E%3Cscript%3E")
    assert rows(nothing) == []
    assert '“"><script>”' in soup(nothing).get_text()
    assert not soup(nothing).select("main script")


async def test_an_empty_folder_says_so(fetch: Fetch) -> None:
    assert "no dashboards" in soup(await fetch("/dashboards")).get_text()


# Resources


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"trusted_folders": ["/"]}}])
async def test_only_resources_of_permitted_kinds_are_sent(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook("b/index.ipynb", hello())
    sent = {
        "a.css": "text/css; charset=UTF-8",
        # As jupyter_server registers it.
        "a.js": "application/javascript",
        "a.PNG": "image/png",
        "a.csv": "text/csv; charset=UTF-8",
        "a.csv.gz": "application/gzip",
        "a.parquet": "application/octet-stream",
        "no extension.txt": "text/plain; charset=UTF-8",
    }
    refused = ["a.py", "a.PY", "Raw.IPYNB", "x.db", "README", "a.sh", ".env", ".env.txt", "a.yaml"]
    for name in [*sent, *refused]:
        (jp_root_dir / "b" / name).write_bytes(b"\x00\xffBYTES")
    for name, kind in sent.items():
        response = await fetch(f"/dashboards/b/{quote(name)}")
        assert (response.code, response.body) == (200, b"\x00\xffBYTES"), name
        assert response.headers["Content-Type"] == kind
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        again = await fetch(
            f"/dashboards/b/{quote(name)}", headers={"If-None-Match": response.headers["Etag"]}
        )
        assert (again.code, again.body) == (304, b"")
    for name in refused:
        response = await fetch(f"/dashboards/b/{quote(name)}")
        assert response.code == 404, name
        assert b"BYTES" not in response.body


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"trusted_folders": ["/"]}}])
async def test_a_resource_that_could_run_scripts_is_kept_apart_from_the_server(
    fetch: Fetch, jp_root_dir: Path
) -> None:
    for name in ("a.html", "a.htm", "a.svg", "a.xml"):
        (jp_root_dir / name).write_text("<script>")
        directives = policy(await fetch(f"/dashboards/{name}"))
        assert directives["sandbox"] == ["allow-scripts"]


@pytest.mark.parametrize(
    "extension_config",
    [{"DashboardFinder": {"resource_extensions": ["png", "rdf", "xsl", "xhtml", "pdf"]}}],
)
async def test_a_name_does_not_choose_its_type_and_every_kind_of_xml_is_kept_apart(
    fetch: Fetch, jp_root_dir: Path
) -> None:
    # Python takes the first for a data URL with a type of its own.
    names = ("data:TEXT/HTML,x.png", "a.rdf", "a.xsl", "a.xhtml", "a.pdf")
    (jp_root_dir / "data:TEXT").mkdir()
    for name in names:
        (jp_root_dir / name).write_text("<script>")
    png, *xml, pdf = [await fetch(f"/dashboards/{quote(name)}") for name in names]
    assert png.headers["Content-Type"] == "image/png"
    assert all("sandbox" in policy(response) for response in xml)
    # A browser's viewer of PDF files doesn't work in a sandbox, and lets none of their scripts at the server.
    assert "sandbox" not in policy(pdf)


@pytest.mark.parametrize(
    "extension_config", [{"DashboardsApp": {"max_files_under_way": 3_000_000}}]
)
async def test_slow_clients_do_not_fill_the_memory_with_large_files(
    fetch: Fetch, jp_root_dir: Path, jp_http_port: int, jp_base_url: str, jp_serverapp: Any
) -> None:
    size = 60_000_000
    (jp_root_dir / "large.mp4").write_bytes(b"x" * size)
    (jp_root_dir / "small.png").write_bytes(b"x")
    token = jp_serverapp.identity_provider.token
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port, limit=4096)
    writer.write(
        f"GET {jp_base_url}dashboards/large.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {token}\r\n\r\n".encode()
    )
    assert b"200" in await reader.readline()
    refused = await fetch("/dashboards/large.mp4")
    assert (refused.code, refused.headers["Retry-After"]) == (503, "5")
    assert (await fetch("/dashboards/small.png")).code == 200
    writer.close()
    for _ in range(100):
        response = await fetch("/dashboards/large.mp4")
        if response.code == 200:
            break
        await asyncio.sleep(0.05)
    assert len(response.body) == size


async def test_a_resource_does_not_become_a_service_worker(fetch: Fetch, jp_root_dir: Path) -> None:
    (jp_root_dir / "a.js").write_text("")
    assert (await fetch("/dashboards/a.js")).code == 200
    assert (await fetch("/dashboards/a.js", headers={"Service-Worker": "script"})).code == 404


@pytest.mark.parametrize("kind", ["dashboards", "dashboards-plain"])
async def test_no_path_leads_out_of_the_folder(fetch: Fetch, jp_root_dir: Path, kind: str) -> None:
    (jp_root_dir.parent / "outside.txt").write_text("s3cret outside")
    (jp_root_dir / "in").mkdir()
    (jp_root_dir / ".git").mkdir()
    (jp_root_dir / ".git" / "config.txt").write_text("s3cret hidden")
    for path in (
        *("../outside.txt", "..%2foutside.txt", "%2e%2e/outside.txt", "%2e%2e%2foutside.txt"),
        *("in/../../outside.txt", "in%2f..%2f..%2foutside.txt", "in/%2e%2e/%2e%2e/outside.txt"),
        *(
            "%252e%252e%252foutside.txt",
            "..%5coutside.txt",
            "..%00/outside.txt",
            "outside.txt%00.png",
        ),
        *(
            "%2fetc%2fhostname",
            "//etc/hostname",
            ".git/config.txt",
            "%2egit/config.txt",
            "in//x.txt",
        ),
        *(
            "..%c0%afoutside.txt",
            "%c0%ae%c0%ae/outside.txt",
            "%ff",
            "x" * 3000,
            "~root",
            "in/.",
            "in/..",
        ),
    ):
        response = await fetch(f"/{kind}/{path}")
        assert response.code in (400, 404), path
        assert b"s3cret" not in response.body
        assert str(jp_root_dir).encode() not in response.body
