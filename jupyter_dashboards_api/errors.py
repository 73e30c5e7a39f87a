"""What can go wrong for a caller, independent of HTTP.

Managers raise these; `handlers/base.py` translates them once into the body that an API documents. A message is shown to
the caller as it is, so it says what to do and never holds a path of the server's disk, a credential or a traceback.
"""

from __future__ import annotations


class DashboardsError(Exception):
    """Base of all faults that a caller is told about; `status` is the HTTP status they become."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(DashboardsError):
    """The request can never succeed as it is."""


class Unauthorized(DashboardsError):
    """The caller's credential is missing, wrong or not valid any more."""

    status = 401


class Forbidden(DashboardsError):
    """The caller is known and may not do this."""

    status = 403


class NotFound(DashboardsError):
    """Nothing is there, or nothing that this caller may know of."""

    status = 404


class Conflict(DashboardsError):
    """Something else is in the way; doing it would lose it."""

    status = 409


class TooLarge(DashboardsError):
    """A size limit of the configuration is passed."""

    status = 413


class Unreadable(DashboardsError):
    """The stored file is not what its name says, for instance a notebook that is not JSON."""

    status = 422


class TryLater(DashboardsError):
    """Not now, and nothing was done. `retry_after` is in whole seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(TryLater):
    """A limit of the server is reached, or what it needs does not answer."""


class TooManyAttempts(TryLater):
    """The caller was wrong too often."""

    status = 429


class QueueFull(TryLater):
    """As much waits for this caller as may."""

    status = 429


class StorageFailed(DashboardsError):
    """The storage behind the contents manager did not work; not the caller's fault."""

    status = 500
