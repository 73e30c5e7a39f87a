"""The notebooks API, `/_notebooks/notebooks/`: its routes, its errors, its records. API: `specs/projects_and_notebooks.md` §4."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from tornado.web import HTTPError, authenticated

from ..dashboards.contents import parent_path
from ..errors import DashboardsError, NotFound, TryLater
from ..schedules.notebook_records import RecordInfo
from ..schedules.notebooks import NotebooksManager, NotGiven
from .base import DashboardsAPIHandler
from .notebooks_body import ids_of, name_of, read_fields

_PROCESSING = "Error occurred during request processing"
_NEVER = "-"
"""`last_run` of a notebook that has never run, in the list; null in the detail."""


class Documented(DashboardsError):
    """An error with a status of the document's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotebooksAPIHandler(DashboardsAPIHandler):
    """A handler whose errors are `{"error": {"status", "message"}}`."""

    challenge = 'Basic realm="jupyter_dashboards_api", charset="UTF-8"'
    _may_be_an_image = False

    @property
    def notebooks(self) -> NotebooksManager:
        """The manager of the notebooks."""
        return self.dashboards.notebooks

    async def prepare(self, **options: Any) -> None:
        # Before the header is rewritten to the form that every identity provider knows.
        is_from_another_site = self._is_from_another_site()
        self._may_be_an_image = self._has_a_browser_s_password()
        await super().prepare(**options)
        if not self._finished and is_from_another_site:
            self.deny("A browser has sent this for another site.")

    def _is_from_another_site(self) -> bool:
        """Whether another site makes a browser send the password that was typed into it once, as this API asks for."""
        headers = self.request.headers
        if not headers.get("Authorization", "").lower().startswith("basic"):
            return False
        site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
        if origin is not None and bool(origin == self.allow_origin):
            return False
        if site is not None or origin is None:
            return site not in (None, "same-origin", "none")
        try:
            return bool(urlsplit(origin).netloc.lower() != self.request.host.lower())
        except ValueError:
            return True

    def _has_a_browser_s_password(self) -> bool:
        """Whether a browser may have added the password, and doesn't say for which site: none does over plain HTTP."""
        headers = self.request.headers
        return (
            headers.get("Authorization", "").lower().startswith("basic")
            and headers.get("User-Agent", "").startswith("Mozilla/")
            and "Sec-Fetch-Site" not in headers
            and "Origin" not in headers
        )

    def error_message(self, status: int, exc_info: Any) -> str:
        message = super().error_message(status, exc_info)
        error = exc_info[1] if exc_info else None
        if status == 401 and not isinstance(error, DashboardsError):
            return "Authentication required: send the server's token or an API key as “Authorization: Basic …”."
        return message

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.send_error_body(status_code, self.error_message(status_code, kwargs.get("exc_info")))

    def send_error_body(self, status: int, message: str) -> None:
        """Answers with an error; `status` is what the body says."""
        self.finish(json.dumps({"error": {"status": status, "message": message}}))

    def send(self, value: Any) -> None:
        """Answers with JSON."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))

    async def fields(self) -> dict[str, Any]:
        """What was sent: the body's fields, and those of the query that the body doesn't have."""
        fields: dict[str, Any] = {}
        for name in self.request.query_arguments:
            values = [value for value in self.get_query_arguments(name) if value]
            if values:
                fields[name] = values if len(values) > 1 else values[0]
        return fields | await asyncio.to_thread(read_fields, self.request.body)

    @property
    def wrong(self) -> int:
        """The status of a request to run or to unschedule that can't be understood."""
        return 500 if self.notebooks.documented_status else 400

    def require_header(self) -> None:
        """Raises 405 for a GET that changes something, unless it has a credential that no other site can have sent."""
        if self.request.method == "GET" and (not self.caller.explicit or self._may_be_an_image):
            raise HTTPError(405)

    def model(self, record: RecordInfo, never: str | None = None) -> dict[str, Any]:
        """The record of a notebook; `never` is its `last_run` if it has never run."""
        is_scheduled = self.notebooks.is_scheduled(record)
        shown = record.schedule.fields if is_scheduled and record.schedule is not None else {}
        folder = parent_path(record.path)
        return {
            "notebook_id": record.uuid,
            "status": "Scheduled" if is_scheduled else "Not Scheduled",
            "notebook_name": record.path.rpartition("/")[2],
            "created_at": _milliseconds(record.created_at),
            "updated_at": _milliseconds(record.updated_at),
            "created_by": record.created_by,
            "updated_by": record.updated_by,
            "last_run": never if record.last_run is None else _milliseconds(record.last_run),
            "no_of_runs": record.runs,
            "schedule": {name: shown.get(name) for name in ("period", "until", "time")},
            "attributes": {"path": f"/{folder}/" if folder else "/"},
        }


def _milliseconds(time: datetime) -> int:
    """Since 1970, in whole seconds, as in all of the document's samples."""
    return int(time.timestamp()) * 1000


@contextmanager
def told(beginning: str, status: int = 400) -> Iterator[None]:
    """Has faults answered with a message that begins as the document has it, and with its status."""
    try:
        yield
    except TryLater as error:
        # Not for good.
        raise type(error)(f"{beginning}: {error.message}", error.retry_after) from error
    except Documented:
        raise
    except DashboardsError as error:
        raise Documented(f"{beginning}: {error.message}", status) from error


class NotebooksHandler(NotebooksAPIHandler):
    """`/_notebooks/notebooks/`: make a notebook, delete notebooks."""

    @authenticated
    async def post(self) -> None:
        """Makes a notebook of the caller's."""
        try:
            with told("Error occurred while creating the notebook file"):
                made = await self.notebooks.create(self.caller.name)
        except Documented as error:
            if isinstance(error.__cause__, NotGiven):
                with told("Error occurred while setting ownership of the notebook file"):
                    raise error.__cause__ from None
            raise
        await self.record("notebook_created", made.path)
        self.send(
            {
                "username": self.caller.name,
                "notebook_name": made.path.rpartition("/")[2],
                "path": f"/{made.path}",
                "notebook_id": made.uuid,
            }
        )

    @authenticated
    async def delete(self) -> None:
        """Deletes notebooks; ids that are unknown count for nothing beside others."""
        with told("Error occurred during notebook deletion"):
            ids = ids_of(await self.fields())
        if not ids:
            raise Documented("Notebook IDs are required")
        with told("Error occurred while deleting the notebook file"):
            gone, failure = await self.notebooks.delete(ids)
            for path in gone:
                await self.record("notebook_deleted", path)
            if failure is not None:
                raise failure
        if gone:
            self.send({"Success": True})
        else:
            # An error of HTTP status 200, as documented.
            self.send_error_body(200, "No notebooks deleted")

    @authenticated
    async def put(self) -> None:
        """A rename that doesn't say of what."""
        raise Documented("Notebook ID is missing")


class NotebookRecordHandler(NotebooksAPIHandler):
    """`/_notebooks/notebooks/ID`: a notebook, and its name."""

    @authenticated
    async def get(self, notebook_id: str) -> None:
        """The notebook's record."""
        with told("Error occurred during notebook retrieval"):
            try:
                record = await self.notebooks.get(notebook_id)
            except NotFound as error:
                raise Documented("Notebook ID invalid.") from error
        self.send(self.model(record))

    @authenticated
    async def put(self, notebook_id: str) -> None:
        """Renames the notebook."""
        with told("Error occurred while renaming the notebook file", 404):
            try:
                record = await self.notebooks.get(notebook_id)
            except NotFound as error:
                raise Documented("No Notebook found") from error
            name = name_of(await self.fields())
            if name is None:
                raise Documented("Missing new name")
            path = await self.notebooks.rename(record, name, self.caller.name)
        await self.record("notebook_renamed", path, before=record.path)
        self.send({"Rename Successful": True})


class NotebooksListHandler(NotebooksAPIHandler):
    """`/_notebooks/notebooks/_all`."""

    @authenticated
    async def get(self) -> None:
        """All records, the oldest first."""
        with told("Error occurred while retrieving notebook information"):
            records = await self.notebooks.all()
        self.send([self.model(record, _NEVER) for record in records])


class NotebooksCountHandler(NotebooksAPIHandler):
    """`/_notebooks/notebooks/_count`."""

    @authenticated
    async def get(self) -> None:
        """How many notebooks there are, and how many of them are scheduled."""
        with told("Error occurred while retrieving notebook metrics"):
            records = await self.notebooks.all()
        scheduled = sum(self.notebooks.is_scheduled(record) for record in records)
        self.send(
            {
                "Total Notebooks": len(records),
                "Not Scheduled": len(records) - scheduled,
                "Scheduled": scheduled,
            }
        )


class NotebookRunHandler(NotebooksAPIHandler):
    """`/_notebooks/notebooks/_run`."""

    @authenticated
    async def get(self) -> None:
        """The same, with a body or by the query."""
        await self._answer()

    @authenticated
    async def post(self) -> None:
        """Runs notebooks, and answers when they have ended, or after a while. `module` counts for nothing."""
        await self._answer()

    async def _answer(self) -> None:
        with told(_PROCESSING, self.wrong):
            ids = ids_of(await self.fields())
        if not ids:
            raise Documented("Notebook ID(s) are required")
        self.require_header()
        with told("Error occurred during notebook execution"):
            await self.notebooks.run(ids, self.caller.name)
        self.send({})


class _SchedulingHandler(NotebooksAPIHandler, ABC):
    """What is documented as POST, and has GET with a body in its samples."""

    @authenticated
    async def get(self) -> None:
        """The same as POST."""
        self.require_header()
        if not self.request.body.strip():
            raise HTTPError(405)
        await self.answer()

    @authenticated
    async def post(self) -> None:
        """For all notebooks that are named, or none."""
        await self.answer()

    @abstractmethod
    async def answer(self) -> None:
        """Does it."""


class NotebookScheduleHandler(_SchedulingHandler):
    """`/_notebooks/notebooks/_schedule`: schedules notebooks in place of what they have."""

    async def answer(self) -> None:
        with told(_PROCESSING):
            fields = await self.fields()
            ids = ids_of(fields)
            if not ids:
                raise Documented(f"{_PROCESSING}: Notebook IDs are required")
            await self.notebooks.schedule(
                ids,
                self.caller.name,
                period=fields.get("period"),
                time=fields.get("time"),
                until=fields.get("until"),
            )
        self.send({"Success": True})


class NotebookUnscheduleHandler(_SchedulingHandler):
    """`/_notebooks/notebooks/_unschedule`: ends the schedules of notebooks."""

    async def answer(self) -> None:
        with told(_PROCESSING, self.wrong):
            ids = ids_of(await self.fields())
            if not ids:
                raise Documented(f"{_PROCESSING}: Notebook IDs are required", self.wrong)
            await self.notebooks.unschedule(ids)
        self.send({"Success": True})


class NotebooksElsewhereHandler(NotebooksAPIHandler):
    """Whatever no other route below `/_notebooks` answers. The server's own answer would be a redirect."""

    async def _refuse(self, path: str) -> NoReturn:
        raise NotFound("There is no such resource. This API is below /_notebooks/notebooks/.")

    get = head = post = put = patch = delete = authenticated(_refuse)
