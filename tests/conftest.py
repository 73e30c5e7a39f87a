"""Fixtures that all tests share: a real server with the extension, notebooks on its disk, callers of every kind."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, settings
from jupyter_core.paths import jupyter_path
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from nbformat import NotebookNode
from tornado.httpclient import HTTPResponse

from jupyter_dashboards_api.database.default_file import FIRST
from jupyter_dashboards_api.database.engine import Database

from .ports import KernelPorts
from .postgres import Postgres

pytest_plugins = ["pytest_jupyter.jupyter_server"]

# Examples take as long as the machine lets them.
settings.register_profile(
    "tests", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Tests that run in a shell's background ignore it, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

Fetch = Callable[..., Awaitable[HTTPResponse]]
Write = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def no_files_in_the_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels and browsers that are started by tests themselves leave nothing in the home of whoever runs them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IPYTHONDIR", str(folder / "ipython"))
        environment.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        # Chromium's: its settings, and the cache of what it asks for those of the desktop.
        environment.setenv("CHROME_CONFIG_HOME", str(folder / "config"))
        environment.setenv("GSETTINGS_BACKEND", "memory")
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_kernels_that_have_ended() -> Iterator[None]:
    """By default the end of ZMQ waits for a second for each kernel that has ended to hear that nobody listens any more."""
    stop = MappingKernelManager.stop_watching_activity

    def stop_at_once(manager: MappingKernelManager, kernel_id: str) -> None:
        stream = getattr(manager._kernels.get(kernel_id), "_activity_stream", None)
        if stream is not None and not stream.closed():
            stream.socket.linger = 0
        stop(manager, kernel_id)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(MappingKernelManager, "stop_watching_activity", stop_at_once)
        yield


@pytest.fixture
def extension_config() -> dict[str, Any]:
    """Configuration of the extension's classes; a test module or a parametrisation overrides it."""
    return {}


@pytest.fixture
def jp_server_config(jp_server_config: Any, extension_config: dict[str, Any]) -> Any:
    jp_server_config.ServerApp.jpserver_extensions.update({"jupyter_dashboards_api": True})
    jp_server_config.ServerApp.reraise_server_extension_failures = True
    # Tests must not fill the trash of whoever runs them.
    jp_server_config.FileContentsManager.delete_to_trash = False
    # Nor start kernels that no run comes for; those that one comes for are in `test_warm_kernels.py`.
    jp_server_config.KernelPool.warm_kernels = 0
    for name, traits in extension_config.items():
        jp_server_config[name].update(traits)
    return jp_server_config


@pytest.fixture
def dashboards(jp_serverapp: Any) -> Any:
    """The extension of the running server."""
    return jp_serverapp.web_app.settings["dashboards"]


@pytest.fixture(scope="session", autouse=True)
def kernel_ports() -> None:
    """Ports for kernels that no other process of the tests is given meanwhile."""
    KernelPorts.instance()


@pytest.fixture
def fetch(jp_serverapp: Any, http_server_client: Any, jp_base_url: str) -> Fetch:
    """How a test asks the server; the path is below the base URL and percent-encoded.

    With the owner's token unless `token` says otherwise (None: anonymous). Never raises for a status and never follows
    a redirect.
    """
    owner = jp_serverapp.identity_provider.token

    async def ask(
        path: str,
        *,
        token: str | None = owner,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> HTTPResponse:
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"token {token}")
        response: HTTPResponse = await http_server_client.fetch(
            jp_base_url.rstrip("/") + path,
            headers=sent,
            raise_error=False,
            follow_redirects=False,
            **options,
        )
        return response

    return ask


@pytest.fixture
def write_notebook(jp_root_dir: Path) -> Write:
    """Writes a notebook below the server's root: `write_notebook("folder/a.ipynb", *cells, **metadata)`."""

    def write(path: str, *cells: NotebookNode, **metadata: Any) -> Path:
        notebook = nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)
        file = jp_root_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, file)
        return file

    return write


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with Postgres() as server:
        yield server


def with_schema(url: str) -> str:
    """The same URL, of a database that has the present schema then."""
    made = Database(url=url)
    made.open()
    made.close()
    return url


# Migrations take longer than all else that a server does when it starts, so nearly all tests begin with a copy of what they
# make; those of `tests/database` and servers that are processes begin with nothing.
@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the present schema and nothing else."""
    file = tmp_path_factory.mktemp("schema") / "dashboards.sqlite"
    with_schema(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a database with the present schema and nothing else."""
    return with_schema(postgres.new_database()).rpartition("/")[2]


@pytest.fixture
def jp_data_dir(jp_data_dir: Path, sqlite_template: Path) -> Path:
    """Where the server's default database is."""
    shutil.copyfile(sqlite_template, jp_data_dir / FIRST)
    return jp_data_dir


@pytest.fixture
def jp_nbconvert_templates(jp_data_dir: Path) -> None:
    """In place of pytest-jupyter's, which copies all of them for each test."""
    found = next(
        (path for path in jupyter_path("nbconvert", "templates") if Path(path).exists()), None
    )
    if found:
        (jp_data_dir / "nbconvert").mkdir()
        (jp_data_dir / "nbconvert" / "templates").symlink_to(found)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database without a row; a test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        copy = shutil.copyfile(request.getfixturevalue("sqlite_template"), tmp_path / FIRST)
        return f"sqlite:///{copy}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(request.getfixturevalue("postgres_template"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the present schema."""
    opened = Database(url=database_url)
    opened.open()
    yield opened
    opened.close()
