"""What a command asks at a terminal, and how it writes a time."""

from __future__ import annotations

import getpass
import sys
import warnings
from datetime import UTC, datetime

from .command import CommandFailed


def minute(time: datetime | None, otherwise: str = "never") -> str:
    """A time for a table, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if time is not None else otherwise


def confirm(question: str, *, yes: bool) -> None:
    """Asks, unless `yes` says that it was agreed to. Raises `CommandFailed` for anything but a yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to ask at: add --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed("Nothing was changed.")


def new_password(*, from_stdin: bool) -> str:
    """A password that was typed twice without being seen, or all of stdin without its last newline."""
    if from_stdin:
        return _password_of_stdin()
    if not sys.stdin.isatty():
        raise CommandFailed(
            "There is no terminal to ask at: send the password with --password-stdin."
        )
    try:
        with warnings.catch_warnings():
            # Where the terminal can't hide what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            password = getpass.getpass("Password: ")
            again = getpass.getpass("The same again: ")
    except EOFError as error:
        raise CommandFailed("No password was given.") from error
    except getpass.GetPassWarning as error:
        raise CommandFailed("This terminal can't hide a password: use --password-stdin.") from error
    if password != again:
        raise CommandFailed("The two are not the same. Nothing was changed.")
    return password


def _password_of_stdin() -> str:
    # More than the longest password, and less than what fills the memory.
    data = sys.stdin.buffer.read(64 * 1024)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandFailed("The password of stdin is not UTF-8.") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if "\n" in text or "\r" in text:
        raise CommandFailed("The password of stdin must be one line.")
    return text
