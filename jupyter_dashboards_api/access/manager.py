"""Access as a whole: wires its parts, and answers who a caller is and whether a caller may open something."""

from __future__ import annotations

import asyncio
import getpass
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from jupyter_events import EventLogger
from traitlets import Float, Integer, Type, Unicode, default
from traitlets.config import LoggingConfigurable

from ..database.engine import Database
from ..errors import DashboardsError
from ..notebooks.presence import Files
from ..notebooks.registry import CONTENTS_EVENTS, NotebookRegistry
from .accounts import Accounts
from .activities import Activities
from .api_keys import MAX_KEYS, APIKeys
from .audit import Audit
from .authenticators import AccountAuthenticator, Authenticator
from .callers import Caller
from .login_sessions import LoginSessions
from .logins import Logins
from .page_tokens import PageToken, PageTokens
from .passwords import HashingThreads
from .rules import AccessRules
from .scopes import grants
from .share_passwords import SharePasswords
from .shares import OpenShare, Shares
from .throttle import FailureLimit
from .watch import CallerWatch


class PathStore(Protocol):
    """Knows how contents paths of dashboards relate to the server's; `dashboards.contents.ContentsStore` is one."""

    def api_path(self, path: str) -> str:
        """The path as the server's contents manager knows it."""


class AccessManager(LoggingConfigurable):
    """Knows callers by their credentials, and what they may open."""

    token_user = Unicode(
        help="""The name of whoever uses the server's token, in records and for kernels: the same for each request. Default:
        the name of the account that the server runs as.""",
    ).tag(config=True)

    authenticator_class = Type(
        AccountAuthenticator,
        klass=Authenticator,
        help="""The class that checks viewers' names and passwords: the accounts of `jupyter dashboards users`, or
        `jupyter_dashboards_api.access.authenticators.PAMAuthenticator` for those of the machine, or one of your own with
        a method `authenticate(username, password)`.""",
    ).tag(config=True)

    session_hours = Float(
        24.0 * 14,
        min=0.01,
        help="""Hours after which a viewer must log in again.""",
    ).tag(config=True)

    idle_hours = Float(
        24.0 * 3,
        min=0.1,
        help="""Hours without a request after which a viewer must log in again.""",
    ).tag(config=True)

    login_failures = Integer(
        10,
        min=1,
        help="""Failed logins of one name within `login_seconds`, after which it is answered with 429. From where the viewer
        is logged in already, it is not.""",
    ).tag(config=True)

    address_failures = Integer(
        50,
        min=1,
        help="""Failed logins from one address within `login_seconds`, after which they are answered with 429. Behind a
        proxy set `ServerApp.trust_xheaders`, or all viewers have the proxy's address.""",
    ).tag(config=True)

    login_seconds = Float(
        300.0,
        min=1.0,
        help="""Seconds over which failed logins are counted.""",
    ).tag(config=True)

    page_token_seconds = Float(
        900.0,
        min=10.0,
        help="""Seconds that the token of a shared or public page is valid; the page renews it in time.""",
    ).tag(config=True)

    page_hours = Float(
        24.0,
        min=0.01,
        help="""Hours for which a shared or public page can be used before it must be loaded again.""",
    ).tag(config=True)

    check_interval = Float(
        10.0,
        min=0.1,
        help="""Seconds between two looks whether those who are connected to kernels may still be, for what other processes
        have changed. What this server changes counts at once.""",
    ).tag(config=True)

    max_keys = Integer(
        MAX_KEYS,
        min=1,
        help="""API keys that one owner may have.""",
    ).tag(config=True)

    activity_days = Float(
        400.0,
        min=0.0,
        max=100 * 366.0,
        help="""Days that entries of the activity log are kept.""",
    ).tag(config=True)

    @default("token_user")
    def _default_token_user(self) -> str:
        try:
            return getpass.getuser()
        except (ImportError, KeyError, OSError):
            # An account that has no name on this machine, as in some containers.
            return "owner"

    def __init__(
        self,
        *,
        database: Database,
        store: PathStore,
        cookie_secret: bytes,
        event_logger: EventLogger,
        files: Files | None = None,
        **options: Any,
    ) -> None:
        """`store` relates paths, `cookie_secret` is the server's, `event_logger` and `files` too; other options are traits."""
        super().__init__(**options)
        logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
        self.database = database
        self._store = store
        self.watch = CallerWatch(self.still_permitted, self.check_interval, logger)
        self.threads = HashingThreads()
        self.rules = AccessRules(parent=self)
        self.keys = APIKeys(database, self.max_keys)
        self.sessions = LoginSessions(
            database, timedelta(hours=self.session_hours), timedelta(hours=self.idle_hours)
        )
        authenticator = self.authenticator_class(parent=self)
        authenticator.database = database
        self.logins = Logins(
            authenticator,
            self.sessions,
            self.threads,
            FailureLimit(self.login_failures, self.login_seconds),
            FailureLimit(self.address_failures, self.login_seconds),
            logger,
        )
        self.tokens = PageTokens(
            cookie_secret,
            timedelta(seconds=self.page_token_seconds),
            timedelta(hours=self.page_hours),
        )
        self.activities = Activities(database, timedelta(days=self.activity_days))
        self.notebooks = NotebookRegistry(database, self.watch.rights_changed, files)
        self.shares = Shares(database, self.watch.rights_changed)
        self.share_passwords = SharePasswords(
            self.shares, self.threads, self.tokens, self.activities
        )
        self.audit = Audit(event_logger, logger)
        event_logger.add_listener(
            schema_id=CONTENTS_EVENTS, listener=self.notebooks.on_contents_event
        )

    async def by_page_token(self, token: str) -> tuple[Caller, PageToken] | None:
        """The visitor of a page token; None when it is not valid, or what it opened is not open any more."""
        told = self.tokens.read_page_token(token)
        if told is None:
            return None
        visit = told.visit
        kind = f"share:{visit.share}" if visit.share else "public"
        caller = Caller(
            "visitor", "visitor", f"visitor:{kind}:{visit.visitor}", explicit=True, visit=visit
        )
        return (caller, told) if await self._is_open(caller) else None

    async def by_key(self, secret: str) -> Caller | None:
        """The caller of an API key; None when it is unknown or has expired."""
        key = await self.keys.find(secret)
        if key is None:
            return None
        return Caller(
            "key",
            key.owner,
            f"key:{key.id}",
            scopes=frozenset(key.scopes),
            explicit=True,
            credential_id=key.id,
        )

    async def by_session(self, secret: str) -> Caller | None:
        """The viewer of a session cookie's secret; None when the session has ended."""
        found = await self.sessions.find(secret)
        if found is None:
            return None
        return Caller(
            "viewer",
            found.username,
            f"viewer:{found.username}:{found.id}",
            groups=found.groups,
            credential_id=found.id,
        )

    async def knows_name(self, username: str) -> bool:
        """Whether there is an account of this name here."""
        return await asyncio.to_thread(Accounts(self.database).find, username) is not None

    async def may_open(self, caller: Caller, path: str) -> bool:
        """Whether a caller may open the dashboard, folder or file at a contents path (below the dashboards' root)."""
        if caller.kind == "owner":
            return True
        if caller.kind == "key":
            return grants(caller.scopes, "dashboard:read")
        if caller.visit is not None:
            share = await self.open_share(caller)
            if caller.visit.share:
                return share is not None and self._store.api_path(path) == share.path
            return path == caller.visit.path and (await self.rules.current()).is_public(path)
        return (await self.rules.current()).allows(caller, path)

    async def may_find(self, caller: Caller, path: str) -> bool:
        """Whether a caller may open any of what a page's path can name: a notebook, a folder with an index, a file.

        Asked before it is looked what is there: how long that takes would tell it.
        """
        if caller.kind in ("owner", "key"):
            return True
        if caller.visit is not None:
            named = (path, f"{path}.ipynb", f"{path}/index.ipynb", f"{path}/index/index.ipynb")
            return any([await self.may_open(caller, name) for name in named])
        rules = await self.rules.current()
        return rules.allows_below(caller, path) or rules.allows(caller, f"{path}.ipynb")

    async def open_share(self, caller: Caller) -> OpenShare | None:
        """The share by whose link a visitor came, if it is still open to them; None for other callers too."""
        if caller.visit is None or not caller.visit.share:
            return None
        share = await self.shared(caller.visit.share)
        if share is None or not share.is_unlocked_by(caller.visit.password_id):
            return None
        return share

    async def shared(self, token: str) -> OpenShare | None:
        """The share that an access token opens now, of the notebook wherever it has just been moved to."""
        await self.notebooks.informed()
        share = await self.shares.open(token)
        if share is not None and share.is_missing:
            # A file that has its path by now may be another one.
            return share if await self.notebooks.by_id(share.notebook_id) is not None else None
        return share

    async def still_permitted(self, caller: Caller, path: str) -> bool:
        """Whether a caller who started the kernel of the dashboard at a path may still use it."""
        return await self._still(caller, path, live=True)

    async def still_open(self, caller: Caller, path: str) -> bool:
        """Whether a caller who has opened the dashboard at a path may still see it."""
        return await self._still(caller, path, live=False)

    async def _still(self, caller: Caller, path: str, *, live: bool) -> bool:
        if caller.kind == "viewer":
            groups = await self.sessions.groups_of(caller.credential_id)
            return groups is not None and await self.may_open(replace(caller, groups=groups), path)
        if caller.kind == "key":
            scopes = await self.keys.scopes_of(caller.credential_id)
            return scopes is not None and grants(scopes, "dashboard:read")
        if caller.visit is not None and caller.visit.share:
            # Their kernel is that of the link's notebook, wherever it has moved to since.
            share = await self.open_share(caller)
            return share is not None and (share.live or not live)
        return await self.may_open(caller, path)

    async def start(self) -> None:
        """Clears up what is too old; a database that is away does not keep the server from starting."""
        try:
            await self.activities.forget_old()
        except DashboardsError as error:
            self.log.error("The activity log keeps its old entries this time: %s", error.message)

    def stop(self) -> None:
        """Lets go of threads and tasks; the database is closed by whoever opened it."""
        self.watch.stop()
        self.threads.close()

    async def _is_open(self, caller: Caller) -> bool:
        if caller.visit is None:
            return False
        if caller.visit.share:
            return await self.open_share(caller) is not None
        return (await self.rules.current()).is_public(caller.visit.path)
