"""Speaks to the commands API of a running server. Needs the standard library only, so that a command starts at once."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

_SECONDS = 60.0
_PROBE = 5.0
_SILENCE = 90.0
"""Longest silence of a stream: a server shows every 15 s that it is still there."""

_TRIES = 4
_PAGE = 100
_RECONNECTIONS = 8
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Refused(Exception):
    """The server said no, or does not answer; the text says what, in one line. `status` is 0 when it does not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Event:
    """A server-sent event; `id` is empty where it has none."""

    name: str
    id: str
    data: dict[str, Any]


class CommandsClient:
    """The commands API at a server's address."""

    def __init__(self, url: str, token: str) -> None:
        """`url` is the server's, with its base URL."""
        self.url = url.rstrip("/")
        self._token = token
        handlers: list[Any] = [_NoRedirect()]
        if urlsplit(self.url).hostname in _LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, /, **query: Any) -> Any:
        """The JSON of an answer. Raises `Refused`."""
        return json.loads(self.read(path, **query))

    def read(self, path: str, /, **query: Any) -> bytes:
        """The body of an answer. Raises `Refused`."""
        text = f"?{urlencode(query)}" if query else ""
        return self._patiently("GET", path + text)

    def send(self, method: str, path: str, body: dict[str, Any], **headers: str) -> Any:
        """Sends JSON; the JSON of the answer. Tries again: what is sent must be the same when it arrives twice."""
        return json.loads(self._patiently(method, path, json.dumps(body).encode(), headers))

    def send_once(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """The same for what would be done twice if it arrived twice: it is not tried again."""
        return json.loads(self._patiently(method, path, json.dumps(body).encode(), tries=1))

    def pages(self, path: str, key: str, most: int | None = None, /, **query: Any) -> Iterator[Any]:
        """What a list of the scheduler API has, page by page, `most` at most; each page has it below `key`."""
        number: int | None = 1
        left = most
        while number is not None and left != 0:
            page = self.get(path, page=number, per_page=min(most or _PAGE, _PAGE), **query)
            yield from page[key][:left]
            left = left - len(page[key][:left]) if left is not None else None
            number = page["paging_info"]["next_page"]

    def notebook(self, path: str) -> int:
        """The id of the notebook at a path of the server."""
        return int(self.get("notebooks", path=path)["notebooks"][0]["id"])

    def schedule(self, text: str) -> dict[str, Any]:
        """The schedule of an id or a name. Raises `Refused`."""
        found: dict[str, Any] = self.get(f"scheduler/{quote(text, safe='')}")
        return found

    def schedule_id(self, text: str) -> int:
        """The id that is meant by an id or a name. Raises `Refused`."""
        is_number = text.isascii() and text.isdecimal() and len(text) <= 15
        return int(text) if is_number else int(self.schedule(text)["id"])

    def answers(self) -> bool:
        """Whether the server has the commands API, and lets this token use it; asked once."""
        try:
            with self._open("GET", "commands?per_page=1", None, {}, _PROBE) as answer:
                return "commands" in json.load(answer)
        except (Refused, OSError, ValueError, http.client.HTTPException):
            return False

    def events(self, command_id: int) -> Iterator[Event]:
        """What happens with a command until its end, over as many connections as it takes. Raises `Refused`."""
        last, failures = "", 0
        while True:
            try:
                for event in self._stream(command_id, last):
                    failures, last = 0, event.id or last
                    yield event
                    if event.data.get("status") in ("done", "error", "cancelled"):
                        return
            except Refused as refused:
                if refused.status and not _may_help(refused.status):
                    raise
                failures += 1
                if failures >= _RECONNECTIONS:
                    raise Refused(
                        f"{refused} The command goes on; see: logs -f {command_id}", refused.status
                    ) from refused
            time.sleep(min(2.0**failures / 2, 5.0))

    def _stream(self, command_id: int, last: str) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        fields: dict[str, str] = {}
        try:
            with self._open(
                "GET", f"commands/{command_id}/stream", None, headers, _SILENCE
            ) as lines:
                for line in lines:
                    name, _, value = line.decode().rstrip("\r\n").partition(": ")
                    if name in ("event", "id", "data"):
                        fields[name] = value
                    elif not name and "data" in fields:
                        data = json.loads(fields["data"])
                        yield Event(fields.get("event", ""), fields.get("id", ""), data)
                        fields = {}
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"The connection to {self.url} broke.") from error

    def _patiently(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        tries: int = _TRIES,
    ) -> bytes:
        for number in range(tries):
            try:
                with self._open(method, path, body, headers or {}, _SECONDS) as answer:
                    data: bytes = answer.read()
                    return data
            except Refused as refused:
                if not _may_help(refused.status) or number == tries - 1:
                    raise
            except (OSError, http.client.HTTPException) as error:
                if number == tries - 1:
                    raise Refused(f"The connection to {self.url} broke.") from error
            time.sleep(0.5 * 2**number)
        raise AssertionError("unreachable")

    def _open(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Any:
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/v1.2/{quote(path, safe='/?=&%+')}", body, headers, method=method
        )
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_unredirected_header("Authorization", f"token {self._token}")
        try:
            return self._opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(self._words_of(error), error.code) from error
        except urllib.error.URLError as error:
            raise Refused(f"The server at {self.url} can't be reached: {error.reason}") from error

    def _words_of(self, error: urllib.error.HTTPError) -> str:
        """What a person reads about an answer that is an error."""
        try:
            said = json.loads(error.read(64 * 1024))
            text = str(said["error"]["error_message"])
        except Exception:
            if 300 <= error.code < 400:
                return f"The server at {self.url} leads elsewhere: is this its address, and the token right?"
            return f"The server at {self.url} answered {error.code}: does it have jupyter_dashboards_api?"
        if error.code == 401:
            return f"The server at {self.url} does not know the token: give it by --token or the environment."
        return text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An API leads nowhere else; and the token is for this server alone."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _may_help(status: int) -> bool:
    return status in (0, 429, 502, 503, 504)
