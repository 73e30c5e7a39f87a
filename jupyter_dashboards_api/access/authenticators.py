"""How a viewer's name and password are checked: an interface of one method, and two that implement it.

One of your own is a class with a method `authenticate`, named by the trait `AccessManager.authenticator_class`. Here is a
whole one, for a file of Apache's `htpasswd` (with the package passlib):

    class HtpasswdAuthenticator(Authenticator):
        file = Unicode("/etc/dashboards.htpasswd").tag(config=True)

        def authenticate(self, username, password):
            correct = HtpasswdFile(self.file).check_password(username, password)
            return Viewer(username) if correct else None
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from traitlets import Unicode
from traitlets.config import LoggingConfigurable

from ..database.engine import Database
from .accounts import Accounts
from .passwords import verify_password


@dataclass(frozen=True)
class Viewer:
    """Who has logged in. `groups` are those that the access file may name."""

    username: str
    groups: tuple[str, ...] = ()


class Authenticator(LoggingConfigurable):
    """Checks viewers' names and passwords. Traits of subclasses are settings, as of any Jupyter class."""

    database: Database

    def authenticate(self, username: str, password: str) -> Viewer | None:
        """The viewer; None for a wrong name or password.

        Called in a thread, so it may block; several calls may run at once. An exception is logged, and the viewer is told
        to try again later. It should take as long for a name that doesn't exist as for one that does.
        """
        # An operator's class that lacks it is told by its name.
        raise NotImplementedError(f"{type(self).__name__} has no method `authenticate`")


class AccountAuthenticator(Authenticator):
    """Checks against the accounts that `jupyter dashboards users` makes."""

    def authenticate(self, username: str, password: str) -> Viewer | None:
        found = Accounts(self.database).find(username)
        if not verify_password(password, found[0] if found else None) or found is None:
            return None
        return Viewer(username, tuple(found[1]))


class PAMAuthenticator(Authenticator):
    """Checks against the accounts of this machine, by PAM: local ones, LDAP, Active Directory, whatever it is set up for.

    Needs the package `pamela` (`pip install 'jupyter_dashboards_api[pam]'`). A server that is not run by root can check
    local passwords of its own account only; those of directories it can check for all.
    """

    service = Unicode(
        "login",
        help="""The PAM service whose rules decide, a file of `/etc/pam.d`.""",
    ).tag(config=True)

    allowed_group = Unicode(
        "",
        help="""Only members of this group of the machine may log in. Empty: every account that PAM lets in.""",
    ).tag(config=True)

    def authenticate(self, username: str, password: str) -> Viewer | None:
        # An extra: only who uses it needs it.
        import pamela  # type: ignore[import-untyped]

        # PAM modules may take an empty password for none needed, and C ends a text at NUL.
        if not password or "\0" in username + password:
            return None
        try:
            # `check` asks the account rules too: whether it is locked or has expired.
            pamela.authenticate(username, password, service=self.service, check=True)
        except pamela.PAMError as error:
            self.log.info("PAM does not let a viewer in: %s", error)
            return None
        except UnicodeEncodeError:
            # Lone surrogates: nothing that C can be given.
            return None
        groups = _groups_of(username)
        if self.allowed_group and self.allowed_group not in groups:
            return None
        return Viewer(username, groups)


def _groups_of(username: str) -> tuple[str, ...]:
    """The names of an account's groups on this machine; none for a name that only PAM knows."""
    try:
        account = pwd.getpwnam(username)
    except KeyError:
        return ()
    names = []
    for number in os.getgrouplist(username, account.pw_gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(sorted(set(names)))
