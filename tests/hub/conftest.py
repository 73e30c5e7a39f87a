"""A JupyterHub with its proxy, and a user's server on it that has this project's extension."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.database.engine import Database
from tests.ports import free_port
from tests.servers import ServerProcess
from tests.visitor import Visitor

HERE = Path(__file__).resolve().parent
PROXY = HERE / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
ADMIN_TOKEN = "the-token-of-the-tests'-service"
HUB_PASSWORD = "everybody's-password-at-the-hub"
PASSWORD = "a-long-password-of-a-viewer"

RULES = """
[rules]
"board.ipynb" = ["vera"]
"public.ipynb" = "public"
"""

CONFIGURATION = """
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///{home}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{home}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{home}/homes/{{username}}"
c.Spawner.http_timeout = 90
c.Spawner.cmd = ["{python}", "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.env_keep = ["PATH", "LANG", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
c.ConfigurableHTTPProxy.command = ["{node}", "{proxy}"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{home}/proxy.pid"
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens"]}}
]
"""


@dataclass(frozen=True)
class Hub:
    """The running hub, with the server of its user Ann."""

    process: ServerProcess
    token: str
    """An API token of Ann's, from the hub."""

    @property
    def url(self) -> str:
        """Where Ann's server is, behind the hub's proxy."""
        return f"{self.process.url}/user/ann"

    @property
    def websockets(self) -> str:
        """The address of the proxy's websockets."""
        return self.process.url.replace("http:", "ws:")

    def visitor(self, **headers: str) -> Visitor:
        """Somebody who is not logged in at all."""
        return Visitor(self.process.url, headers)

    def program(self) -> Visitor:
        """A program that has Ann's token."""
        return self.visitor(Authorization=f"token {self.token}")


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    assert PROXY.is_file(), "scripts/install brings JupyterHub's proxy"
    home = tmp_path_factory.mktemp("hub")
    prepare(home)
    command = [
        *("jupyterhub", f"--config={home / 'jupyterhub_config.py'}"),
        "--JupyterHub.bind_url=http://127.0.0.1:{port}",
    ]
    with ended(home / "proxy.pid"), ServerProcess(command, home, ready="/hub/health") as process:
        admin = Visitor(f"{process.url}/hub/api", {"Authorization": f"token {ADMIN_TOKEN}"})
        # The proxy answers 404 before the hub is there.
        wait_until("the hub", lambda: admin.get("/").status_code == 200)
        assert admin.post("/users/ann").status_code == 201
        assert admin.post("/users/ann/server").status_code in (201, 202)
        wait_until("Ann's server", lambda: is_ready(admin.get("/users/ann").json()))
        token = admin.post("/users/ann/tokens", json={"note": "tests"}).json()["token"]
        yield Hub(process, token)


def prepare(home: Path) -> None:
    """Writes notebooks, the hub's configuration, and for Ann's server the access file and a viewer's account."""
    folder = home / "homes" / "ann"
    folder.mkdir(parents=True)
    for name in ("board", "public", "secret"):
        cell = nbformat.v4.new_code_cell(
            f"import os\nprint('{name} for', os.environ['DASHBOARD_USER'])"
        )
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / f"{name}.ipynb")
    (home / "config").mkdir()
    (home / "config" / "dashboards_access.toml").write_text(RULES)
    (home / "data").mkdir()
    database = Database(url=f"sqlite:///{home / 'data' / 'dashboards.sqlite'}")
    Accounts(database).add("vera", PASSWORD)
    database.close()
    node = [sys.executable, str(HERE.parent.parent / "_build" / "node.py"), "node"]
    text = CONFIGURATION.format(
        home=home,
        hub_port=free_port(),
        proxy_port=free_port(),
        password=HUB_PASSWORD,
        token=ADMIN_TOKEN,
        python=sys.executable,
        proxy=PROXY,
        node=subprocess.check_output([*node, "-p", "process.execPath"], text=True).strip(),
    )
    (home / "jupyterhub_config.py").write_text(text)


@contextmanager
def ended(pid_file: Path) -> Iterator[None]:
    """Ends the proxy after the block, if the hub could not: one that is stopped while it starts leaves it behind."""
    try:
        yield
    finally:
        if pid_file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)


def wait_until(what: str, ready: Callable[[], bool]) -> None:
    """Asks until it is ready."""
    end = time.monotonic() + 90
    while not ready():
        assert time.monotonic() < end, f"{what} did not start"
        time.sleep(0.2)


def is_ready(user: dict[str, Any]) -> bool:
    """Whether the hub says that a user's server is running."""
    return bool(user["servers"].get("", {}).get("ready"))
