"""Files that never change: the built frontend, and prebuilt labextensions that pip installed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_dashboards_api.dashboards import assets
from jupyter_dashboards_api.handlers import static
from tests.conftest import Fetch

BUILT = {
    "dash-KX5MEWCF.js": b"script",
    "dash-KX5MEWCF.js.br": b"as brotli",
    "dash-KX5MEWCF.js.gz": gzip.compress(b"script"),
    "third-party-licenses.txt": b"words",
    "sub/font-KX5MEWCF.woff2": b"font",
    "only-KX5MEWCF.css": b"p{}",
    "only-KX5MEWCF.css.gz": gzip.compress(b"p{}"),
    ".stamp": b"hidden",
    "manifest.json": b"{}",
}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frontend of our own instead of the built one, with a file beside its folder."""
    write(tmp_path / "built", BUILT)
    (tmp_path / "outside.js").write_text("s3cret")
    monkeypatch.setattr(static, "frontend", assets.Frontend(tmp_path / "built"))


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", []),
        ("gzip, deflate, br, zstd", ["br", "gzip"]),
        ("gzip", ["gzip"]),
        ("br;q=0, gzip;q=0.5", ["gzip"]),
        ("br;q=0.0,gzip ; q=0.000", []),
        ("br; q=0.001", ["br"]),
        ("GZIP", ["gzip"]),
        ("xgzip, brotli", []),
    ],
)
def test_an_encoding_is_used_only_where_the_client_accepts_it(
    header: str, accepted: list[str]
) -> None:
    assert static.accepted_encodings(HTTPHeaders({"Accept-Encoding": header})) == accepted


async def test_a_built_file_is_sent_to_everybody_in_the_form_that_the_build_compressed(
    fetch: Fetch, built: None
) -> None:
    path = "/static/dashboards/dash-KX5MEWCF.js"
    for header, encoding, body in [
        ("gzip, br", "br", b"as brotli"),
        ("gzip, br;q=0", "gzip", BUILT["dash-KX5MEWCF.js.gz"]),
        ("gzip", "gzip", BUILT["dash-KX5MEWCF.js.gz"]),
        ("identity", None, b"script"),
    ]:
        response = await fetch(
            path, token=None, headers={"Accept-Encoding": header}, decompress_response=False
        )
        assert response.code == 200
        assert response.headers.get("Content-Encoding") == encoding
        assert response.body == body
        assert "javascript" in response.headers["Content-Type"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Accept-Encoding" in response.headers["Vary"]
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert not response.headers.get_list("Set-Cookie")
    head = await fetch(path, method="HEAD", token=None)
    assert (head.code, head.body) == (200, b"")


async def test_only_names_with_a_hash_are_kept_for_ever(fetch: Fetch, built: None) -> None:
    for name, kept in [
        ("dash-KX5MEWCF.js", True),
        ("sub/font-KX5MEWCF.woff2", True),
        ("third-party-licenses.txt", False),
        ("manifest.json", False),
    ]:
        response = await fetch(f"/static/dashboards/{name}", token=None)
        assert response.code == 200
        assert ("immutable" in response.headers["Cache-Control"]) == kept, name


async def test_no_other_file_has_a_url(fetch: Fetch, built: None) -> None:
    for path in (
        *(
            "../outside.js",
            "..%2foutside.js",
            "%2e%2e/outside.js",
            "sub/../../outside.js",
            "missing.js",
        ),
        *(
            "dash-KX5MEWCF.js.br",
            "dash-KX5MEWCF.js.gz",
            ".stamp",
            "sub",
            "",
            "sub/",
            "%00",
            "dash-KX5MEWCF.js%00",
        ),
        *("/etc/hostname", "%2fetc%2fhostname", "..%5coutside.js", "%252e%252e/outside.js", "%ff"),
    ):
        response = await fetch(f"/static/dashboards/{path}", token=None)
        assert response.code in (400, 404), path
        assert b"s3cret" not in response.body


# Labextensions


def package(load: Any = "static/remoteEntry.abc.js", **more: Any) -> bytes:
    return json.dumps(
        {"name": "ignored", "jupyterlab": {"_build": {"load": load, **more}}}
    ).encode()


EXTENSIONS = {
    "plain/package.json": package(extension="./extension", style="./style"),
    "plain/static/remoteEntry.abc.js": b"plain entry",
    "plain/static/sub/a.0123456789abcdef0123.js": b"x" * 2000,
    "plain/static/third-party-licenses.json": b"{}",
    "plain/schemas/secret.json": b"s3cret",
    "plain/static-not/secret.js": b"s3cret",
    "@scope/name/package.json": package(mimeExtension="./mime"),
    "@scope/name/static/entry.js": b"scoped entry",
    "broken json/package.json": b"{",
    "binary/package.json": b"\xff\xfe",
    "list/package.json": b"[]",
    "null/package.json": b'{"jupyterlab": null}',
    "source/package.json": b'{"jupyterlab": {"extension": true}}',
    "text/package.json": b'{"jupyterlab": {"_build": "x"}}',
    "number/package.json": package(load=3),
    "no package/static/secret.js": b"s3cret",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Extensions in two of Jupyter's data folders."""
    first, second = tmp_path / "first" / "labextensions", tmp_path / "second" / "labextensions"
    write(first, EXTENSIONS)
    write(second, {"plain/package.json": package("shadowed.js"), "late/package.json": package()})
    (first / "secret.js").write_text("s3cret")
    (first / "plain" / "static" / "link.js").symlink_to(first / "secret.js")
    monkeypatch.setattr(
        assets, "jupyter_path", lambda *names: [str(first), str(second), str(tmp_path / "none")]
    )
    monkeypatch.setattr(static, "lab_extensions", assets.LabExtensions())
    return first


async def test_installed_extensions_are_listed_whatever_lies_beside_them(
    fetch: Fetch, installed: Path
) -> None:
    response = await fetch("/_api/labextensions")
    assert response.code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    found = {item.pop("name"): item for item in json.loads(response.body)}
    assert set(found) == {"plain", "@scope/name", "late"}
    assert found["plain"] == {
        "load": "static/remoteEntry.abc.js",
        "extension": "./extension",
        "mimeExtension": None,
        "style": "./style",
        "url": "/a%40b/static/dashboards/labextensions/plain",
    }
    assert found["@scope/name"]["url"] == "/a%40b/static/dashboards/labextensions/@scope/name"
    assert str(installed) not in response.body.decode()


async def test_a_file_of_an_extension_s_static_folder_is_sent_to_everybody(
    fetch: Fetch, installed: Path
) -> None:
    base = "/static/dashboards/labextensions"
    entry = await fetch(f"{base}/plain/static/remoteEntry.abc.js", token=None)
    assert (entry.code, entry.body) == (200, b"plain entry")
    assert "immutable" not in entry.headers["Cache-Control"]
    assert (await fetch(f"{base}/@scope/name/static/entry.js", token=None)).body == b"scoped entry"
    hashed = f"{base}/plain/static/sub/a.0123456789abcdef0123.js"
    packed = await fetch(
        hashed, token=None, headers={"Accept-Encoding": "br, gzip"}, decompress_response=False
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"x" * 2000
    assert "immutable" in packed.headers["Cache-Control"]
    words = await fetch(f"{base}/plain/static/third-party-licenses.json", token=None)
    assert "immutable" not in words.headers["Cache-Control"]


async def test_nothing_beside_an_extension_s_static_folder_is_sent(
    fetch: Fetch, installed: Path
) -> None:
    for path in (
        *(
            "plain/package.json",
            "plain/schemas/secret.json",
            "plain/static-not/secret.js",
            "plain",
            "plain/static",
        ),
        *("plain/static/../schemas/secret.json", "plain/static/%2e%2e/schemas/secret.json"),
        *(
            "plain/static/..%2fschemas%2fsecret.json",
            "plain/static/%2e%2e/%2e%2e/secret.js",
            "secret.js",
        ),
        *(
            "plain/static/link.js",
            "plain/static/%00",
            "plain/static//etc/hostname",
            "../secret.js",
            "%2e%2e/secret.js",
        ),
        *(
            "no%20package/static/secret.js",
            "@scope/static/x.js",
            "@scope",
            "missing/static/a.js",
            "",
            "plain/static/sub",
        ),
        "plain%2fstatic%2f..%2f..%2fsecret.js",
    ):
        response = await fetch(f"/static/dashboards/labextensions/{path}", token=None)
        assert response.code in (400, 404), path
        assert b"s3cret" not in response.body
        assert str(installed).encode() not in response.body
