"""A server as authors have it, with JupyterLab and its extensions, and whoever may open one dashboard on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.database.engine import Database
from tests.servers import TOKEN, ServerProcess
from tests.visitor import Visitor, page_config

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "a-long-password-of-a-viewer"

EXTENSIONS = (
    "jupyter_dashboards_api",
    "jupyter_lsp",
    "jupyter_scheduler",
    "jupyter_server_terminals",
    "jupyterlab",
    "notebook_shim",
    "tests.lab.route_report",
)

RULES = """
[rules]
"board.ipynb" = ["vera", "otto"]
"public.ipynb" = "public"
"""


@dataclass(frozen=True)
class Lab:
    """The running server, and credentials for it."""

    server: ServerProcess
    owner: Visitor
    vera: Visitor
    """A viewer who has logged in."""
    otto: Visitor
    """Another."""
    key: str
    """An API key that may do all that a key can."""
    reading_key: str
    """An API key that may look at dashboards."""
    page_token: str
    """What a public page carries."""
    kernel: str
    """The kernel that Vera's page has started."""
    things: dict[str, str]
    """Of each kind one that exists, by the name that routes give it."""

    @property
    def nobody(self) -> Visitor:
        """A browser that has been here, and is not logged in."""
        visitor = Visitor(self.server.url)
        visitor.get("/login")
        return visitor

    @property
    def websockets(self) -> str:
        """The address of the server's websockets."""
        return self.server.url.replace("http:", "ws:")


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    for name in ("board", "public", "secret"):
        cell = nbformat.v4.new_code_cell(f"print('this is {name}')")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / f"{name}.ipynb")
    configure(home)
    command = [
        "jupyter_server",
        "--port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={TOKEN}",
        "--no-browser",
        "--allow-root",
    ]
    with ServerProcess(command, home, environment={"PYTHONPATH": str(ROOT)}) as server:
        yield visit(server)


def configure(home: Path) -> None:
    """Writes the server's configuration, the access file, and two viewers' accounts."""
    config, data = home / "config", home / "data"
    config.mkdir()
    data.mkdir()
    server = {
        "jpserver_extensions": dict.fromkeys(EXTENSIONS, True),
        "reraise_server_extension_failures": True,
    }
    # The kernel outlives all the tests, with nobody connected to it.
    kernels = {"join_timeout": 3600, "retention": 3600}
    configuration = {"ServerApp": server, "KernelBindings": kernels}
    (config / "jupyter_server_config.json").write_text(json.dumps(configuration))
    (config / "dashboards_access.toml").write_text(RULES)
    database = Database(url=f"sqlite:///{data / 'dashboards.sqlite'}")
    for name in ("vera", "otto"):
        Accounts(database).add(name, PASSWORD)
    database.close()


def visit(server: ServerProcess) -> Lab:
    """Everybody comes in, and one of each thing is made."""
    owner = Visitor(server.url, {"Authorization": f"Bearer {TOKEN}"})
    vera, otto = (log_in(Visitor(server.url), name) for name in ("vera", "otto"))
    started = vera.post("/_api/kernels", json={"path": "board.ipynb"})
    assert started.status_code == 201, started.text
    session = made(
        owner.post(
            "/api/sessions",
            json={"path": "secret.ipynb", "type": "notebook", "name": "", "kernel": {}},
        )
    )
    terminal = made(owner.post("/api/terminals"))
    kernel = started.json()["id"]
    return Lab(
        server,
        owner,
        vera,
        otto,
        new_key(owner, "*"),
        new_key(owner, "dashboard:read"),
        page_config(Visitor(server.url).get("/dashboards/public").text)["pageToken"],
        kernel,
        {
            "kernel_id": kernel,
            "session_id": session["id"],
            "kernel_name": "python3",
            "term_name": terminal["name"],
            "format": "html",
            "action": "interrupt",
            "section_name": "notebook",
        },
    )


def log_in(visitor: Visitor, name: str) -> Visitor:
    answer = visitor.post("/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    # The page brings the cookie against forged requests.
    assert visitor.get("/dashboards/board").status_code == 200
    return visitor


def new_key(owner: Visitor, scope: str) -> str:
    asked = {"label": scope, "scopes": [scope]}
    value: str = made(owner.post("/api/personal_api_keys", json=asked))["value"]
    return value


def made(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    model: dict[str, Any] = answer.json()
    return model
