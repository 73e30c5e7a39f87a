"""The extension: its traits and the wiring of its managers. No behaviour of its own."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import RedirectWithParams
from jupyter_server.extension.application import ExtensionApp, ExtensionAppJinjaMixin
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Dict, Enum, Integer, List, TraitError, Unicode, default, validate

from .access.authenticators import AccountAuthenticator, PAMAuthenticator
from .access.manager import AccessManager
from .access.rules import AccessRules
from .cli import main as commands
from .cli.commands import CLIENT_COMMANDS
from .cli.commands import run as run_client
from .commands.mail import Mailer
from .commands.manager import CommandsManager
from .conversion.beside import PicturesBeside
from .conversion.browser import PageBrowser
from .conversion.converter import NotebookConverter
from .dashboards.budget import ByteBudget
from .dashboards.cache import DashboardCache
from .dashboards.contents import ContentsStore
from .dashboards.csp import is_source
from .dashboards.finder import DashboardFinder
from .dashboards.refresh import RefreshFeed
from .dashboards.rendering import DashboardRenderer
from .dashboards.trust import Trust
from .database.engine import Database
from .handlers.login import PROVIDER_LOGOUT, provider_logout
from .handlers.routes import tornado_handlers
from .kernels.bindings import KernelBindings
from .kernels.pool import KernelPool
from .notebooks.registry import CONTENTS_EVENTS
from .notebooks.saves import follow_saves
from .notebooks.sweeper import RegistrySweeper
from .notebooks.uploads import NotebookUploads
from .schedules.janitor import Janitor
from .schedules.manager import SchedulesManager
from .schedules.notebooks import NotebooksManager
from .server import DashboardsServerApp

_HERE = Path(__file__).parent


class DashboardsApp(ExtensionAppJinjaMixin, ExtensionApp):
    """Shows the notebooks of a Jupyter server as live dashboards."""

    name = "dashboards"
    description = "Serves the notebooks of a folder as live dashboards: jupyter dashboards [FOLDER]"
    examples = commands.EXAMPLES
    extension_url = "/dashboards"
    load_other_extensions = False
    # The first word is a folder, or one of ours (`main`). Upstream looks it up in the class's trait, which is no dictionary.
    subcommands = {}
    serverapp_class = DashboardsServerApp
    classes = [
        ServerApp,
        DashboardRenderer,
        DashboardCache,
        DashboardFinder,
        RefreshFeed,
        KernelBindings,
        NotebookUploads,
        RegistrySweeper,
        CommandsManager,
        KernelPool,
        SchedulesManager,
        NotebooksManager,
        Janitor,
        Mailer,
        PageBrowser,
        AccessManager,
        AccessRules,
        AccountAuthenticator,
        PAMAuthenticator,
        Database,
    ]

    root = Unicode(
        "",
        help="""Folder of the contents manager whose notebooks are dashboards, as a contents path such as `published`.
        Everything else the server can read stays out of reach of these pages. Empty: all of it.""",
    ).tag(config=True)

    presentation_mode = Bool(
        False,
        help="""Show dashboards only: no bar at their top, and no listing of folders (404).""",
    ).tag(config=True)

    show_tracebacks = Bool(
        False,
        help="""Show viewers the traceback of a failing cell. Tracebacks quote the notebook's source.""",
    ).tag(config=True)

    show_stderr = Bool(
        False,
        help="""Show viewers what cells write to stderr. Warnings and logged tracebacks quote the notebook's source,
        so it is hidden unless this or `show_tracebacks` is on.""",
    ).tag(config=True)

    error_text = Unicode(
        "This part of the dashboard could not be computed.",
        help="""What a viewer reads in place of a failing cell's traceback.""",
    ).tag(config=True)

    on_error = Enum(
        ["continue", "stop"],
        default_value="continue",
        help="""After a failing cell: go on with the next one, or stop.""",
    ).tag(config=True)

    own_login = Bool(
        True,
        help="""Answer `/login` and `/logout` with this extension's form, where viewers and the server's owner log in.
        When off, the server's own form stays, and viewers can't log in. Under JupyterHub pages lead to the hub's login in
        either case; viewers open `/login` by themselves.""",
    ).tag(config=True)

    frame_ancestors = List(
        Unicode(),
        default_value=["'self'"],
        help="""Who may show the plain pages (`/dashboards-plain`) in a frame: sources of the CSP directive
        `frame-ancestors`, such as `https://intranet.example.org`.""",
    ).tag(config=True)

    max_files_under_way = Integer(
        512 * 1024 * 1024,
        min=1,
        help="""Most bytes of large files beside dashboards that are in memory at once while they are sent; 503 with
        `Retry-After` beyond it. A larger file is sent when nothing else is. Reading one takes twice its size more.""",
    ).tag(config=True)

    csp_sources = Dict(
        key_trait=Unicode(),
        value_trait=List(Unicode()),
        help="""Sources to add to the Content-Security-Policy of dashboard pages, by directive, for instance
        `{"img-src": ["https://tile.openstreetmap.org"]}`. The default policy allows this server alone.""",
    ).tag(config=True)

    trusted_folders = List(
        Unicode(),
        help="""Folders (with all below them) and single notebooks whose authors may run scripts in viewers' browsers, as
        contents paths below `root` such as `reports` or `team/board.ipynb`; `/` is everything. All other pages are
        sanitised, and widgets and outputs that need scripts of the author's say so in their place. Empty, the default:
        none is trusted.""",
    ).tag(config=True)

    @validate("trusted_folders")
    def _contents_paths(self, proposal: Any) -> list[str]:
        folders: list[str] = proposal["value"]
        try:
            Trust(folders)
        except ValueError as error:
            raise TraitError(f"DashboardsApp.trusted_folders: {error}") from error
        return folders

    @validate("frame_ancestors")
    def _plain_sources(self, proposal: Any) -> list[str]:
        sources: list[str] = proposal["value"]
        check_csp_sources(sources)
        return sources

    @validate("csp_sources")
    def _plain_directives(self, proposal: Any) -> dict[str, list[str]]:
        directives: dict[str, list[str]] = proposal["value"]
        for directive, sources in directives.items():
            if not re.fullmatch(r"[a-z][a-z-]*", directive):
                raise TraitError(f"{directive!r} is no directive of a Content-Security-Policy.")
            check_csp_sources(sources)
        return directives

    @default("template_paths")
    def _default_template_paths(self) -> list[str]:
        return [str(_HERE / "templates")]

    database: Database
    access: AccessManager
    commands: CommandsManager
    schedules: SchedulesManager
    notebooks: NotebooksManager
    sweeper: RegistrySweeper
    store: ContentsStore
    trust: Trust
    files_under_way: ByteBudget
    renderer: DashboardRenderer
    cache: DashboardCache
    finder: DashboardFinder
    refresh: RefreshFeed
    kernels: KernelBindings
    uploads: NotebookUploads

    def initialize_settings(self) -> None:
        server = self.serverapp
        assert server is not None
        self.store = ContentsStore(server.contents_manager, self.root)
        self.database = Database(self.store.place, parent=self)
        # Before a request is answered: a database that can't be used must keep the server from starting.
        self.database.open()
        assert server.event_logger is not None
        contents = ContentsStore(server.contents_manager)
        self.access = AccessManager(
            parent=self,
            database=self.database,
            store=self.store,
            files=contents,
            cookie_secret=server.cookie_secret,
            event_logger=server.event_logger,
        )
        self.trust = Trust(self.trusted_folders)
        self.files_under_way = ByteBudget(self.max_files_under_way)
        self.renderer = DashboardRenderer(
            parent=self,
            show_tracebacks=self.show_tracebacks,
            show_stderr=self.show_stderr or self.show_tracebacks,
            error_text=self.error_text,
            images_url=url_path_join(server.base_url, "_api/images"),
        )
        self.finder = DashboardFinder(self.store, parent=self)
        self.cache = DashboardCache(self.store, self.renderer, self.trust, parent=self)
        self.refresh = RefreshFeed(self.store, parent=self)
        server.event_logger.add_listener(
            schema_id=CONTENTS_EVENTS, listener=self.refresh.on_contents_event
        )
        self.kernels = KernelBindings(
            parent=self,
            kernel_manager=server.kernel_manager,
            kernel_spec_manager=server.kernel_spec_manager,
            store=self.store,
            show_tracebacks=self.show_tracebacks,
            show_stderr=self.show_stderr or self.show_tracebacks,
            error_text=self.error_text,
            stop_on_error=self.on_error == "stop",
        )
        self.uploads = NotebookUploads(
            self.store, self.finder, self.cache, self.access.notebooks, parent=self
        )
        registry = self.access.notebooks
        registry.wait_for(self.uploads.untouched)
        follow_saves(contents, registry, self.uploads.is_held)
        self.sweeper = RegistrySweeper(registry, contents, parent=self)
        self.commands = CommandsManager(
            parent=self,
            database=self.database,
            contents=contents,
            notebooks=self.access.notebooks,
            kernel_manager=server.kernel_manager,
            kernel_spec_manager=server.kernel_spec_manager,
            hidden_environment=self.kernels.hidden_environment,
            converter=NotebookConverter(
                self.renderer,
                PageBrowser(parent=self),
                PicturesBeside(contents, DashboardFinder(contents, parent=self), self.store),
                self.store,
                self.trust,
            ),
            hold=self.uploads.held,
        )

        self.schedules = SchedulesManager(
            parent=self, database=self.database, commands=self.commands
        )
        self.notebooks = NotebooksManager(
            parent=self,
            database=self.database,
            schedules=self.schedules,
            kernel_manager=server.kernel_manager,
            kernel_spec_manager=server.kernel_spec_manager,
        )

    def initialize_handlers(self) -> None:
        self.handlers.extend(tornado_handlers(own_login=self.own_login))
        server = self.serverapp
        assert server is not None
        logout = provider_logout(server.identity_provider)
        if logout is not None:
            self.handlers.append((PROVIDER_LOGOUT, *logout))
        # Set by nobody else: `GET /` would only say that a server is running.
        if server.default_url.rstrip("/") == server.base_url.rstrip("/"):
            listing = url_path_join(server.base_url, self.extension_url)
            self.handlers.append((r"/?", RedirectWithParams, {"url": listing, "permanent": False}))

    def _jupyter_server_config(self) -> dict[str, Any]:
        # Upstream's would set the default URL of a server that we start, over its command line and configuration.
        return {"ServerApp": dict(self.serverapp_config)}

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        self.cache.start()
        await self.access.start()
        self.sweeper.start()
        # Before what is old is forgotten.
        await self.notebooks.start()
        await self.commands.start()
        await self.schedules.start()
        # What is there by now stays. Without it each full collection, which a large request brings about, takes 200 ms.
        gc.freeze()

    async def stop_extension(self) -> None:
        self.sweeper.stop()
        await self.schedules.stop()
        await self.commands.stop()
        await self.notebooks.stop()
        await self.kernels.stop()
        self.refresh.stop()
        self.cache.stop()
        self.access.stop()
        await asyncio.to_thread(self.database.close)


def check_csp_sources(sources: list[str]) -> None:
    """Raises `TraitError` for what would end or change the policy that it is put into."""
    for source in sources:
        if not is_source(source):
            raise TraitError(
                f"{source!r} is no source of a Content-Security-Policy: give one at a time, such as https://example.org."
            )


def main(argv: list[str] | None = None) -> None:
    """`jupyter dashboards [FOLDER]`, or a command such as `jupyter dashboards users`."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in commands.COMMANDS:
        sys.exit(commands.run(words, DashboardsApp))
    if words and words[0] in CLIENT_COMMANDS:
        sys.exit(run_client(words))
    DashboardsApp.launch_instance(argv)  # type: ignore[no-untyped-call]
