"""`NotebookConvertCommand` through the API."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image
from pypdf import PdfReader

from jupyter_dashboards_api.errors import Unavailable
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

from .conftest import HoldEnd
from .smtp import mail_server

START = "Command type could not be created. Errors: "
PYTHON: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture
def write_note(write_notebook: Write) -> None:
    stored = [new_output("stream", name="stdout", text="stored words")]
    write_notebook(
        'folder/my "note" é.ipynb',
        new_markdown_cell("# A title\n\n$x^2$"),
        new_code_cell(
            "who = 'nobody'\nprint('for', who)", outputs=stored, metadata={"tags": ["parameters"]}
        ),
        new_code_cell("print('for', who)"),
        **PYTHON,
    )


async def note_id(client: CommandClient) -> int:
    return await client.note_id("folder/my%20%22note%22%20%C3%A9.ipynb")


async def convert(client: CommandClient, **fields: Any) -> Any:
    """A conversion that has ended, of the note of `write_note` unless another one is named."""
    if "resourceId" not in fields:
        fields["resourceId"] = await note_id(client)
    fields = {"command_type": "NotebookConvertCommand", "resourceType": "Note", **fields}
    return await client.ended((await client.submit(**fields))["id"])


async def file_of(client: CommandClient, command: Any) -> Any:
    assert command["status"] == "done", command["error"]
    found = await client.get(f"/commands/{command['id']}/results")
    place = f"commands/{command['id']}/results?raw=true"
    assert found == {"inline": False, "result_location": [place]}
    return await client.ask("GET", f"/{place}")


@pytest.mark.usefixtures("write_note")
@pytest.mark.parametrize("kind", ["html", "pdf"])
async def test_a_client_that_follows_no_place_has_the_file_in_the_answer(
    client: CommandClient, kind: str
) -> None:
    command = await convert(client, fileFormat=kind)
    data = (await file_of(client, command)).body
    found = await client.get(f"/commands/{command['id']}/results?inline=True&include_headers=false")
    results, encoding = found.pop("results"), found.pop("encoding")
    assert found == {
        "inline": True,
        "result_location": [f"commands/{command['id']}/results?raw=true"],
    }
    assert encoding == (None if kind == "html" else "base64")
    assert (results.encode() if kind == "html" else base64.b64decode(results)) == data


@pytest.mark.usefixtures("write_note")
async def test_html_is_a_file_that_is_saved_and_may_do_nothing_on_this_server(
    client: CommandClient,
) -> None:
    answer = await file_of(client, await convert(client, fileFormat="html"))
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert answer.headers["Content-Security-Policy"] == "sandbox allow-scripts"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"my _note_ _.html\"; filename*=UTF-8''my%20%22note%22%20%C3%A9.html"
    )
    html = answer.body.decode()
    assert "stored words" in html
    assert "nobody" not in html
    assert 'src="http' not in html


@pytest.mark.usefixtures("write_note")
@pytest.mark.parametrize("show_code", [True, "true"])
async def test_the_code_is_shown_if_asked_for_and_not_run(
    client: CommandClient, show_code: Any
) -> None:
    answer = await file_of(client, await convert(client, fileFormat="html", showCode=show_code))
    html = answer.body.decode()
    assert "stored words" in html
    assert "nobody" in html
    assert "for nobody" not in html


@pytest.mark.parametrize("kind", ["html", "png"])
async def test_pictures_beside_the_notebook_are_in_the_file(
    client: CommandClient, write_notebook: Write, jp_root_dir: Path, kind: str
) -> None:
    shown = {"text/html": "<img src='../my%20red.png'>"}
    write_notebook(
        "sub/p.ipynb",
        new_markdown_cell("![blue](blue.png) ![secret](.secret.png)"),
        new_code_cell("", outputs=[new_output("display_data", shown)]),
        **PYTHON,
    )
    colours = {"my red": (255, 0, 0), "sub/blue": (0, 0, 255), "sub/.secret": (0, 255, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (40, 40), colour).save(jp_root_dir / f"{name}.png")
    number = await client.note_id("sub/p.ipynb")
    data = (await file_of(client, await convert(client, resourceId=number, fileFormat=kind))).body
    if kind == "html":
        for name in colours:
            picture = base64.b64encode((jp_root_dir / f"{name}.png").read_bytes())
            assert (picture in data) is (name != "sub/.secret")
    else:
        drawn = Image.open(io.BytesIO(data)).convert("RGB")
        seen = {colour for _, colour in drawn.getcolors(1 << 24) or []}
        assert {name for name, colour in colours.items() if colour in seen} == {
            "my red",
            "sub/blue",
        }


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"error_text": "told to viewers"}}])
@pytest.mark.parametrize(
    ("kind", "show_code", "is_shown"),
    [("Note", True, True), ("Note", False, False), ("NotebookDashboard", True, False)],
)
async def test_errors_and_warnings_are_shown_where_the_code_is(
    client: CommandClient, write_notebook: Write, kind: str, show_code: bool, is_shown: bool
) -> None:
    outputs = [
        new_output("stream", name="stderr", text="the warning"),
        new_output("error", ename="E", evalue="the value", traceback=["the traceback"]),
    ]
    write_notebook("e.ipynb", new_code_cell("1 / 0", outputs=outputs), **PYTHON)
    number = await client.note_id("e.ipynb")
    fields = {"resourceId": number, "resourceType": kind, "showCode": show_code}
    html = (await file_of(client, await convert(client, fileFormat="html", **fields))).body.decode()
    for words in ("the warning", "the traceback"):
        assert (words in html) is is_shown
    assert ("told to viewers" in html) is not is_shown


@pytest.mark.usefixtures("write_note")
@pytest.mark.parametrize(("kind", "begin"), [("pdf", b"%PDF"), ("png", b"\x89PNG")])
async def test_pdf_and_png_are_the_bytes_of_a_file(
    client: CommandClient, kind: str, begin: bytes
) -> None:
    command = await convert(client, fileFormat=kind, resourceId=str(await note_id(client)))
    answer = await file_of(client, command)
    assert answer.headers["Content-Type"] == {"pdf": "application/pdf", "png": "image/png"}[kind]
    assert answer.body.startswith(begin)
    same = await client.ask("GET", f"/commands/{command['id']}/file")
    assert same.body == answer.body
    told = await client.get(f"/commands/{command['id']}/status_with_results")
    assert told["inline"] is False


@pytest.mark.usefixtures("write_note")
async def test_with_execute_the_notebook_is_run_first_with_arguments(client: CommandClient) -> None:
    command = await convert(client, fileFormat="html", execute=True, arguments={"who": "Ann"})
    assert command["command"]["arguments"] == {"who": "Ann"}
    html = (await file_of(client, command)).body.decode()
    assert "for Ann" in html
    assert "stored words" not in html


async def test_widgets_that_the_run_has_made_are_in_the_file(
    client: CommandClient, write_notebook: Write
) -> None:
    write_notebook(
        "w.ipynb",
        new_code_cell("size = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("import ipywidgets\nipywidgets.IntSlider(size, description='How large')"),
        **PYTHON,
    )
    command = await client.submit(
        command_type="NotebookConvertCommand", resourceId=await client.note_id("w.ipynb"), resourceType="Note",
        fileFormat="pdf", execute=True, arguments={"size": 83},
    )  # fmt: skip
    answer = await file_of(client, await client.ended(command["id"]))
    text = PdfReader(io.BytesIO(answer.body)).pages[0].extract_text()
    assert "How large" in text
    assert "83" in text


@pytest.mark.usefixtures("write_note")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resourceId": None}, "resourceId is required."),
        ({"resourceId": "x"}, "resourceId must be a whole number"),
        ({"resourceId": 999}, "There is no notebook for account 1 with resourceId: 999"),
        ({"resourceType": "Notebook"}, "resourceType must be one of Note, NotebookDashboard."),
        ({"resourceType": None}, "resourceType must be one of Note, NotebookDashboard."),
        ({"fileFormat": "doc"}, "fileFormat must be one of html, pdf, png."),
        ({"fileFormat": ["pdf"]}, "fileFormat must be one of html, pdf, png."),
        ({"showCode": "perhaps"}, "showCode must be true or false."),
        ({"mailIds": "a@b\r\nBcc: c@d"}, "mailIds: "),
        ({"mailIds": "a@example.org"}, "mailIds: This server sends no mail"),
        ({"arguments": {"who": 1}}, "arguments need execute: true"),
    ],
)
async def test_what_is_wrong_is_said_with_the_fields_name(
    client: CommandClient, fields: dict[str, Any], message: str
) -> None:
    good = {
        "command_type": "NotebookConvertCommand",
        "resourceId": await note_id(client),
        "resourceType": "Note",
        "fileFormat": "html",
    }
    assert (await client.refused(**{**good, **fields})).startswith(START + message)


@pytest.mark.usefixtures("write_note")
async def test_without_a_browser_pdf_is_refused_and_html_works(
    client: CommandClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await note_id(client)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nowhere")
    body = {"command_type": "NotebookConvertCommand", "resourceId": number, "resourceType": "Note"}
    refused = await client.refused(**body, fileFormat="pdf")
    assert "install chromium-headless-shell or chromium" in refused
    await file_of(client, await convert(client, fileFormat="html"))


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"trusted_folders": ["trusted"]}}])
async def test_the_timeout_of_the_command_bounds_the_drawing_too(
    client: CommandClient, write_notebook: Write
) -> None:
    endless = {"text/html": "<script>for (;;);</script>"}
    write_notebook(
        "trusted/endless.ipynb",
        new_code_cell("", outputs=[new_output("display_data", endless)]),
        **PYTHON,
    )
    number = await client.note_id("trusted/endless.ipynb")
    body = {"command_type": "NotebookConvertCommand", "resourceId": number, "resourceType": "Note"}
    command = await client.ended((await client.submit(**body, fileFormat="png", timeout=3))["id"])
    assert command["status"] == "error"
    assert command["error"]["message"] == "The conversion took longer than 3 s."
    begun, ended = command["start_time"], command["end_time"]
    assert ended - begun < 3 + 5


async def test_hidden_cells_of_a_dashboard_stay_hidden(
    client: CommandClient, write_notebook: Write
) -> None:
    def view(**options: Any) -> dict[str, Any]:
        return {"extensions": {"jupyter_dashboards": {"version": 1, "views": {"r": options}}}}

    write_notebook(
        "d.ipynb",
        new_markdown_cell("seen words", metadata=view(hidden=False)),
        new_markdown_cell("hidden words", metadata=view(hidden=True)),
        extensions={
            "jupyter_dashboards": {
                "version": 1,
                "activeView": "r",
                "views": {"r": {"type": "report"}},
            }
        },
    )
    number = await client.note_id("d.ipynb")
    for kind, shown in (("NotebookDashboard", False), ("Note", True)):
        command = await client.submit(
            command_type="NotebookConvertCommand", resourceId=number, resourceType=kind, fileFormat="html"
        )  # fmt: skip
        html = (await file_of(client, await client.ended(command["id"]))).body.decode()
        assert "seen words" in html
        assert ("hidden words" in html) is shown
        assert json.dumps(command["command"]["resourceType"]) == json.dumps(kind)


@pytest.mark.usefixtures("write_note")
async def test_the_file_is_mailed_and_a_mail_that_fails_is_the_commands_error(
    client: CommandClient, dashboards: Any
) -> None:
    async with mail_server() as server:
        mailer = dashboards.commands.mailer
        mailer.host, mailer.port, mailer.tls = "127.0.0.1", server.port, "none"
        mailer.from_address = "dashboards@example.org"
        done = await convert(client, fileFormat="html", mailIds="a@example.org,b@example.org")
        assert done["status"] == "done"
        file = await file_of(client, done)
        server.data_answer = "550 not here"
        failed = await convert(client, fileFormat="html", mailIds=["a@example.org"])
    assert server.recipients[0] == ["a@example.org", "b@example.org"]
    (attachment,) = server.messages[0].iter_attachments()
    assert attachment.get_payload(decode=True).decode() == file.body.decode()  # type: ignore[union-attr]
    assert failed["status"] == "error"
    assert "550 not here" in failed["error"]["message"]
    # It need not be made once more.
    kept = await client.ask("GET", f"/commands/{failed['id']}/file")
    assert (kept.code, b"stored words" in kept.body) == (200, True)


@pytest.mark.usefixtures("write_note")
async def test_a_conversion_that_is_cancelled_at_the_end_of_its_run_keeps_that_and_goes_no_further(
    client: CommandClient, dashboards: Any, hold_end: HoldEnd
) -> None:
    command = await client.submit(
        command_type="NotebookConvertCommand", resourceId=await note_id(client), resourceType="Note",
        fileFormat="html", execute=True,
    )  # fmt: skip
    await hold_end.until_there()
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    hold_end.release()
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    assert await dashboards.commands.store.file_of(command["id"]) is None
    assert (await client.ask("GET", f"/commands/{command['id']}/notebook")).code == 200
    log = (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()
    assert "Converting" not in log


@pytest.mark.usefixtures("write_note")
async def test_a_conversion_that_is_cancelled_after_its_run_keeps_that(
    client: CommandClient, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = asyncio.Event()

    async def endless(*args: Any, **options: Any) -> bytes:
        drawing.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    monkeypatch.setattr(dashboards.commands.converter, "convert", endless)
    command = await client.submit(
        command_type="NotebookConvertCommand", resourceId=await note_id(client), resourceType="Note",
        fileFormat="html", execute=True,
    )  # fmt: skip
    await drawing.wait()
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    assert (await client.ask("GET", f"/commands/{command['id']}/notebook")).code == 200
    log = (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()
    assert log.splitlines()[-1].endswith(" Cancelled.")


@pytest.mark.usefixtures("write_note")
async def test_a_database_that_is_away_before_the_mail_delays_it(
    client: CommandClient, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mailer = dashboards.commands.store, dashboards.commands.mailer
    stages: list[str] = []
    stage = store.stage

    async def away_once(command: Any, name: str) -> bool:
        stages.append(name)
        if len(stages) == 1:
            raise Unavailable("The database does not answer.")
        return bool(await stage(command, name))

    monkeypatch.setattr(store, "stage", away_once)
    async with mail_server() as server:
        mailer.host, mailer.port, mailer.tls = "127.0.0.1", server.port, "none"
        mailer.from_address = "dashboards@example.org"
        done = await convert(client, fileFormat="html", mailIds="a@example.org", retry=1)
    assert (done["status"], done["attempt"]) == ("done", 1)
    assert stages == ["sending", "sending", "sent"]
    assert len(server.messages) == 1


@pytest.mark.usefixtures("write_note")
async def test_what_does_not_answer_without_a_timeout_is_said_and_the_run_is_kept(
    client: CommandClient, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*given: Any, **options: Any) -> bytes:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(dashboards.commands.converter, "convert", late)
    failed = await convert(client, fileFormat="html", execute=True)
    assert failed["error"]["message"].endswith("something did not answer in time.")
    assert (await client.ask("GET", f"/commands/{failed['id']}/notebook")).code == 200
