"""The server's configuration, read as the server reads it: what a command changes must be what the server looks at."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from traitlets import TraitError
from traitlets.config import Application, LoggingConfigurable

from ..access.accounts import Accounts
from ..access.authenticators import AccountAuthenticator
from ..access.manager import AccessManager
from ..access.rules import AccessRules
from ..database.backends import fault
from ..database.engine import Database
from ..database.migrations import NewerSchema
from ..server import DashboardsServerApp

_SETTING = re.compile(r"--(?P<name>\w+(\.\w+)+)=.*", re.DOTALL)

# What says more than one line, or quotes configuration files.
_SILENT = logging.getLogger(f"{__name__}.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class BadConfiguration(Exception):
    """The configuration can't be used. The text quotes no values, which may be credentials."""


class AccessSettings(AccessManager):
    """The settings of access, without the managers that need a server."""

    def __init__(self, parent: JupyterApp) -> None:
        LoggingConfigurable.__init__(self, parent=parent)


class ConfigurationFiles(JupyterApp):
    """Reads the files and options of a server that has the extension. The server's own file wins over the extension's."""

    # It decides the name of the file.
    name = "jupyter-server"

    def load_config_file(self, suppress_errors: bool = False) -> None:  # type: ignore[override]
        Application.load_config_file(self, "jupyter_dashboards_config", path=self.config_file_paths)
        super().load_config_file(suppress_errors=suppress_errors)

    def migrate_config(self) -> None:
        """Nothing: files of IPython 3 are left to the server."""


class Configuration:
    """What the commands need of a server's configuration."""

    def __init__(self, application: JupyterApp) -> None:
        """`application` is the extension's, with its configuration: the parent of all that is configured."""
        self._application = application

    @classmethod
    def load(
        cls, application: type[JupyterApp], options: Sequence[str], file: str | None
    ) -> Configuration:
        """Reads it. `options` are words of the form `--Class.setting=VALUE`. Raises `BadConfiguration`."""
        if file is not None and not Path(file).is_file():
            # Upstream would go on without it, and with another database than was meant.
            raise BadConfiguration(f"There is no file {file}.")
        named = [f"--config={file}"] if file is not None else []
        files = ConfigurationFiles(log=_SILENT, raise_config_file_errors=True)
        try:
            files.initialize([*options, *named])
        except SystemExit:
            # Upstream's way to say that a setting of the application itself has a bad value.
            raise BadConfiguration(
                "A setting of JupyterApp or Application has a bad value."
            ) from None
        except Exception as error:
            raise BadConfiguration(
                f"A configuration file can't be read: {type(error).__name__}{_place(error)}"
            ) from error
        with _bad_values():
            return cls(application(config=files.config, log=_log()))

    @cached_property
    def access(self) -> AccessSettings:
        """The settings of access. Raises `BadConfiguration`."""
        with _bad_values():
            return AccessSettings(self._application)

    @property
    def access_file(self) -> Path:
        """The access file, which need not be there."""
        with _bad_values():
            return Path(AccessRules(parent=self.access).file)

    @property
    def uses_accounts(self) -> bool:
        """Whether the server asks the accounts of `users` at all."""
        authenticator: Any = self.access.authenticator_class
        return issubclass(authenticator, AccountAuthenticator)

    @cached_property
    def database_name(self) -> str:
        """Which database it is, for people: without a password."""
        url = make_url(self._database.url)
        if url.drivername.startswith("sqlite"):
            return str(url.database)
        return f"{url.database} at {url.host or 'this machine'}"

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The server's database, open. Raises `BadConfiguration` when it can't be."""
        database = self._database
        try:
            database.open()
        except (ValueError, NewerSchema) as error:
            raise BadConfiguration(str(error)) from error
        except SQLAlchemyError as error:
            name = fault(error, write=True) or type(error).__name__
            raise BadConfiguration(
                f"The database can't be opened ({name}): is Database.url right, and may this account use it?"
            ) from error
        except OSError as error:
            raise BadConfiguration(f"The database can't be opened: {error}") from error
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def accounts(self) -> Iterator[Accounts]:
        """The viewers' accounts. Raises as `database` does."""
        with self.database() as database:
            yield Accounts(database)

    @cached_property
    def _database(self) -> Database:
        with _bad_values():
            database = Database(parent=self._application)
        # It logs what it raises.
        database.log = _SILENT
        return database


def settings_in(words: Sequence[str], application: type[JupyterApp]) -> tuple[list[str], list[str]]:
    """The options `--Class.setting=VALUE` among the words, and the other words. Raises `BadConfiguration` for a wrong name.

    What the server would only warn of, or not notice, could lead a command to another database.
    """
    end = words.index("--") if "--" in words else len(words)
    options = [word for word in words[:end] if _SETTING.fullmatch(word)]
    known = {
        f"{base.__name__}.{trait}"
        for cls in (application, *application.classes, *DashboardsServerApp.classes)
        for base in cls.__mro__
        if hasattr(base, "class_traits")
        for trait in base.class_traits(config=True)
    }
    for option in options:
        match = _SETTING.fullmatch(option)
        assert match is not None
        if ".".join(match["name"].split(".")[-2:]) not in known:
            raise BadConfiguration(f"There is no setting {match['name']}.")
    return options, [word for word in words[:end] if word not in options] + [*words[end:]]


@contextmanager
def _bad_values() -> Iterator[None]:
    try:
        yield
    except TraitError as error:
        # What follows is the value.
        raise BadConfiguration(re.split(", (?:not|but) ", str(error))[0]) from error


def _place(error: Exception) -> str:
    """Where in its file an error is, if it says so. Its text may quote the file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" in {error.filename}, line {error.lineno}"
    return ""


def _log() -> logging.Logger:
    log = logging.getLogger(__name__)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.WARNING)
    return log
