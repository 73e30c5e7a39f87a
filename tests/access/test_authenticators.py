"""How names and passwords are checked: our own accounts, and the machine's by PAM."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.access.authenticators import (
    AccountAuthenticator,
    Authenticator,
    Viewer,
)
from jupyter_dashboards_api.database.engine import Database

PASSWORD = "correct horse"
WRAPPER = "libpam_wrapper.so"

# Asks a real libpam, in a process of its own. pamela looks its functions up in the library by itself, past what is preloaded;
# so that it gets them from the wrapper, which passes them on.
ASK = f"""
import ctypes.util, json, sys
known = ctypes.util.find_library
ctypes.util.find_library = lambda name: "{WRAPPER}" if name == "pam" else known(name)
from jupyter_dashboards_api.access.authenticators import PAMAuthenticator
options, *attempts = json.load(sys.stdin)
authenticator = PAMAuthenticator(**options)
answers = [authenticator.authenticate(*attempt) for attempt in attempts]
json.dump([answer and [answer.username, list(answer.groups)] for answer in answers], sys.stdout)
"""

Ask = Callable[..., list[Viewer | None]]


def test_an_authenticator_has_to_say_how_it_checks() -> None:
    with pytest.raises(NotImplementedError, match="Authenticator has no method `authenticate`"):
        Authenticator().authenticate("ann", PASSWORD)


def test_our_own_accounts_are_checked_by_their_hash(database: Database) -> None:
    Accounts(database).add("ann", PASSWORD, ["sales"])
    authenticator = AccountAuthenticator()
    authenticator.database = database
    assert authenticator.authenticate("ann", PASSWORD) == Viewer("ann", ("sales",))
    for name, password in (("ann", "wrong"), ("ann", ""), ("bob", PASSWORD), ("", PASSWORD)):
        assert authenticator.authenticate(name, password) is None


@pytest.fixture
def pam(tmp_path: Path) -> Ask:
    """Asks PAM, as a machine would on which `ann`, `müller` and the account of the tests have the password."""
    modules = next(Path("/usr/lib").glob("*/pam_wrapper/pam_matrix.so"), None)
    if modules is None:
        raise RuntimeError("These tests need pam_wrapper: scripts/test --install")
    users = ["ann", "müller", getpass.getuser()]
    accounts = tmp_path / "accounts"
    lines = [f"{name}:{PASSWORD}:dashboards" for name in users]
    # May log in elsewhere, and not here.
    lines.append(f"bob:{PASSWORD}:sshd")
    accounts.write_text("\n".join([*lines, ""]))
    services = tmp_path / "services"
    services.mkdir()
    rules = [f"{kind} required {modules} passdb={accounts}" for kind in ("auth", "account")]
    (services / "dashboards").write_text("\n".join([*rules, ""]))
    environment = os.environ | {
        "LD_PRELOAD": WRAPPER,
        "PAM_WRAPPER": "1",
        "PAM_WRAPPER_SERVICE_DIR": str(services),
    }

    def ask(*attempts: tuple[str, str], **options: Any) -> list[Viewer | None]:
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            input=json.dumps([{"service": "dashboards", **options}, *attempts]),
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        return [Viewer(each[0], tuple(each[1])) if each else None for each in answers]

    return ask


def test_pam_lets_in_whom_its_rules_let_in(pam: Ask) -> None:
    right = [("ann", PASSWORD), ("müller", PASSWORD)]
    wrong = [
        ("ann", "wrong"),
        ("ann", ""),
        ("ann", PASSWORD + "\0"),
        ("ann", PASSWORD + "\0x"),
        ("ann", PASSWORD + "x"),
        ("ann\0", PASSWORD),
        ("ann\0x", PASSWORD),
        ("nobody knows", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("ann", "\ud800"),
        ("\ud800", PASSWORD),
        ("ann", "x" * 5000),
    ]
    answers = pam(*right, *wrong)
    assert answers == [Viewer("ann"), Viewer("müller"), *[None] * len(wrong)]


def test_pam_is_asked_whether_the_account_may_be_used_for_this(pam: Ask) -> None:
    assert pam(("bob", PASSWORD)) == [None]


def test_a_service_that_is_not_there_lets_nobody_in(pam: Ask) -> None:
    assert pam(("ann", PASSWORD), service="elsewhere") == [None]


def test_groups_are_those_of_the_machine(pam: Ask) -> None:
    name, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    (viewer,) = pam((name, PASSWORD))
    assert viewer is not None
    assert viewer.username == name
    assert group in viewer.groups
    # Who is known to PAM alone is in none.
    attempts = [(name, PASSWORD), ("ann", PASSWORD), (name, "wrong")]
    assert pam(*attempts, allowed_group=group) == [viewer, None, None]
    assert pam(*attempts, allowed_group="no such group") == [None, None, None]
