"""Mail of commands: who gets it, the message, and the SMTP server that takes it.

A mail can't be taken back and is not sent twice: a command's attempt notes `sending` before the server gets the message and
`sent` after it. Whoever finds an attempt that ended in between can only say that the mail may have been sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import re
import secrets
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Protocol, cast

import aiosmtplib
from traitlets import Enum, Float, Integer, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from ..database.tables import now
from ..errors import DashboardsError, Unreadable
from .logs import CommandLogger
from .models import CommandInfo
from .outages import insist

PASSWORD_VARIABLE = "JUPYTER_DASHBOARDS_SMTP_PASSWORD"  # noqa: S105
"""No kernel inherits it: `SERVER_CREDENTIALS` of `kernels/environment.py` covers all names that begin so."""

MAX_ADDRESSES = 50
MAX_SUBJECT = 200
_QUIT_SECONDS = 2.0
_PIECE_BYTES = 256 * 1024
# Whole lines of base64, which have 57 bytes each; a mark of an attachment's place is less than one.
_ENCODED_BYTES = 57 * 2048
_MARK_BYTES = 32
# All servers take mail of 7 bits.
_POLICY = SMTP.clone(cte_type="7bit")

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class MailFailed(DashboardsError):
    """The mail was not taken, or not by everybody. `retryable`: nobody has got it, and another try may work."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail; `mime` such as `application/pdf`."""

    name: str
    mime: str
    content: bytes = field(repr=False)


class Stages(Protocol):
    """Where it is noted how far an attempt's mail is: the store of commands."""

    async def stage(self, command: CommandInfo, stage: str) -> bool:
        """Notes a stage of a command's attempt; False when it is not the command's attempt any more."""


def parse_addresses(given: Any) -> list[str]:
    """Plain addresses of a list, or of a text with commas; each once, in their order. Pure. Raises `Unreadable`.

    Strict: `name@domain` in ASCII, without display names, quotes and comments, so that nothing of it can end a header.
    """
    if given is None:
        return []
    items = given.split(",") if isinstance(given, str) else given
    if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
        raise Unreadable("Mail addresses must be a text with commas, or a list of texts.")
    found: dict[str, str] = {}
    for item in items:
        text = item.strip(" \t")
        if not text and isinstance(given, str):
            continue
        address = _address(text)
        found.setdefault(address.lower(), address)
    if len(found) > MAX_ADDRESSES:
        raise Unreadable(f"A mail can go to at most {MAX_ADDRESSES} addresses.")
    return list(found.values())


def _address(text: str) -> str:
    name, _, domain = text.rpartition("@")
    if (
        len(name) > 64
        or len(domain) > 253
        # A program that the server hands it to could take it for an option.
        or name.startswith("-")
        or not _LOCAL.fullmatch(name)
        or not _DOMAIN.fullmatch(domain)
    ):
        shown = _NOT_PRINTED.sub("?", text)[:100]
        raise Unreadable(f"{shown!r} is no mail address such as name@example.org.")
    return f"{name}@{domain.lower()}"


class Mailer(LoggingConfigurable):
    """Sends what commands have made, by an SMTP server."""

    host = Unicode(
        "",
        help=f"""Name of the SMTP server that takes this server's mail. Empty: no mail is sent, and commands that ask for it
        are refused. Its password is the environment variable `{PASSWORD_VARIABLE}`.""",
    ).tag(config=True)

    port = Integer(
        0,
        min=0,
        max=65535,
        help="""Port of the SMTP server. 0: the usual one of `tls`, which is 587 for `starttls`, 465 for `tls` and 25 for
        `none`.""",
    ).tag(config=True)

    tls = Enum(
        ["starttls", "tls", "none"],
        default_value="starttls",
        help="""How the connection is encrypted: from the start (`tls`), after a greeting (`starttls`; nothing is sent if the
        server can't do it), or not at all (`none`; a password is then sent to this machine only).""",
    ).tag(config=True)

    ca_file = Unicode(
        "",
        help="""File with the certificates that the SMTP server's must come from, for one that the system doesn't trust.""",
    ).tag(config=True)

    username = Unicode("", help="""Who logs in to the SMTP server. Empty: nobody does.""").tag(
        config=True
    )

    from_address = Unicode(
        "", help="""The sender of all mail, such as `dashboards@example.org`; mail needs it."""
    ).tag(config=True)

    max_attachment_bytes = Integer(
        10 * 1024 * 1024,
        min=1,
        help="""Most bytes of all attachments of a mail. In the mail they take a third more.""",
    ).tag(config=True)

    timeout = Float(
        60.0,
        min=0.1,
        help="""Seconds in which the SMTP server must have taken a mail.""",
    ).tag(config=True)

    @validate("from_address")
    def _one_address(self, proposal: Any) -> str:
        try:
            return _address(proposal["value"]) if proposal["value"] else ""
        except Unreadable as error:
            raise TraitError(f"Mailer.from_address: {error.message}") from error

    @property
    def is_configured(self) -> bool:
        """Whether mail can be sent at all."""
        return bool(self.host and self.from_address)

    async def deliver(
        self,
        command: CommandInfo,
        log: CommandLogger,
        stages: Stages,
        addresses: Sequence[str],
        subject: str,
        text: str,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Sends the mail of a command's attempt once, with its stages and a line in its log. Raises `MailFailed`."""
        if not await insist(lambda: stages.stage(command, "sending")):
            raise MailFailed("Another server runs this command.", retryable=False)
        try:
            await self.send(
                addresses,
                subject,
                text,
                attachments,
                message_id=f"command-{command.id}.{command.created_at:%Y%m%d%H%M%S%f}",
            )
        except MailFailed as failed:
            if failed.retryable:
                await self._note(stages, command, "")
            log.say(f"Mail: {failed.message}")
            raise
        except asyncio.CancelledError:
            log.say("Mail: cancelled while it was being sent; it may have been sent.")
            raise
        await self._note(stages, command, "sent")
        log.say(f"Mail: sent to {', '.join(addresses)}.")

    async def _note(self, stages: Stages, command: CommandInfo, stage: str) -> None:
        """Notes a stage after the mail: a database that does not answer must not make it an error, and a second mail."""
        try:
            await stages.stage(command, stage)
        except DashboardsError as error:
            self.log.warning("Mail of command %d: %s", command.id, error.message)

    async def send(
        self,
        addresses: Sequence[str],
        subject: str,
        text: str,
        attachments: Sequence[Attachment] = (),
        *,
        message_id: str,
    ) -> None:
        """Sends one mail to all addresses. Raises `MailFailed`, and `Unreadable` for a bad address.

        `message_id` is the same for what is the same mail, so that a repeat can be recognised; its domain is the sender's.
        """
        if not self.is_configured:
            raise MailFailed("This server has no mail: Mailer.host is not set.", retryable=False)
        recipients = parse_addresses(list(addresses))
        if not recipients:
            raise MailFailed("A mail needs an address.", retryable=False)
        size = sum(len(each.content) for each in attachments)
        if size > self.max_attachment_bytes:
            raise MailFailed(
                f"The attachments have {size} bytes; a mail can have {self.max_attachment_bytes}.",
                retryable=False,
            )
        data = await asyncio.to_thread(
            self._message, recipients, subject, text, attachments, message_id
        )
        delivery = _Delivery(self.from_address, recipients, data)
        try:
            client = await asyncio.to_thread(self._client)
            async with asyncio.timeout(self.timeout):
                await delivery.carry(client)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise self._failure(error, delivery) from error
        if delivery.refused:
            raise MailFailed(
                f"The mail server refused {', '.join(delivery.refused)}; the others were sent the mail.",
                retryable=False,
            )

    def _client(self) -> aiosmtplib.SMTP:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        if self.username and self.tls == "none" and not _is_this_machine(self.host):
            raise ValueError("a password is not sent without TLS: set Mailer.tls")
        context = None
        if self.tls != "none":
            context = ssl.create_default_context(cafile=self.ca_file or None)
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port or {"starttls": 587, "tls": 465, "none": 25}[self.tls],
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=context,
            username=self.username or None,
            password=password if self.username else None,
            timeout=self.timeout,
            # Its own look-up of this machine's name may take the whole time.
            local_hostname=self._domain,
        )

    @property
    def _domain(self) -> str:
        return self.from_address.rpartition("@")[2]

    def _message(
        self,
        recipients: Sequence[str],
        subject: str,
        text: str,
        attachments: Sequence[Attachment],
        message_id: str,
    ) -> list[bytes]:
        """What `DATA` sends, in pieces.

        The files are put in afterwards: `email` works on the whole of them in single steps, and each of those keeps all
        other threads from running for 100 ms with a file of 10 MB.
        """
        message = EmailMessage(_POLICY)
        message["Subject"] = one_line(subject)[:MAX_SUBJECT]
        message["From"] = self.from_address
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(now())
        message["Message-ID"] = f"<{message_id}@{self._domain}>"
        # So that an answering machine does not answer.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n".join(text.encode(errors="replace").decode().splitlines()))
        bodies = [(secrets.token_bytes(_MARK_BYTES), each.content) for each in attachments]
        for each, (mark, _) in zip(attachments, bodies, strict=True):
            kind, _, subtype = each.mime.partition("/")
            message.add_attachment(
                mark,
                maintype=kind,
                subtype=subtype,
                filename=one_line(each.name)[:MAX_SUBJECT] or "file",
            )
        rest = message.as_bytes()
        found: list[bytes] = []
        for mark, content in bodies:
            before, _, rest = rest.partition(base64.encodebytes(mark).replace(b"\n", b"\r\n"))
            found += _pieces(before)
            found += _encoded(content)
        return [*found, *_pieces(rest)]

    def _failure(self, error: Exception, delivery: _Delivery) -> MailFailed:
        """What has gone wrong, for who submitted the command: the server's own words, but not its address."""
        self.log.warning("Mail: %s: %s", type(error).__name__, error)
        uncertain = delivery.handed_over and not isinstance(error, aiosmtplib.SMTPDataError)
        if uncertain:
            return MailFailed(
                "The mail server did not say that it has taken the mail; it may have been sent.",
                retryable=False,
            )
        text, retryable = _reason(error, self.timeout)
        return MailFailed(f"The mail was not sent: {text}.", retryable=retryable)


class _Delivery:
    """One message on its way. `refused` are the recipients that the server does not take."""

    def __init__(self, sender: str, recipients: Sequence[str], message: Sequence[bytes]) -> None:
        """`message` is what `DATA` sends, in pieces of whole lines."""
        self._sender = sender
        self._recipients = recipients
        self._message = message
        self.refused: dict[str, str] = {}
        self.handed_over = False

    async def carry(self, client: aiosmtplib.SMTP) -> None:
        """Connects, logs in and hands the message over. Raises aiosmtplib's errors."""
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                # An old server that knows no EHLO is greeted by `mail`.
                with contextlib.suppress(aiosmtplib.SMTPHeloError):
                    await client.ehlo()
            size = sum(map(len, self._message))
            # A server that takes no mail of this size says so before it has all of it.
            options = [f"SIZE={size}"] if client.supports_extension("size") else []
            await client.mail(self._sender, options=options)
            for address in self._recipients:
                try:
                    await client.rcpt(address)
                except aiosmtplib.SMTPRecipientRefused as refused:
                    self.refused[address] = _answer(refused)
                    last = refused
            if len(self.refused) == len(self._recipients):
                raise last
            await self._hand_over(client)
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit(timeout=_QUIT_SECONDS)
        finally:
            client.close()

    async def _hand_over(self, client: aiosmtplib.SMTP) -> None:
        """`DATA`, piece by piece: aiosmtplib's own holds the event loop for 140 ms with a mail of 14 MB."""
        answer = await client.execute_command(b"DATA")
        if answer.code != 354:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
        self.handed_over = True
        for piece in self._message:
            if client.transport is None:
                break
            cast("asyncio.Transport", client.transport).write(piece)
            await asyncio.sleep(0)
        answer = await client.execute_command(b".")
        if answer.code != 250:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)


def _pieces(message: bytes) -> list[bytes]:
    """The message as `DATA` sends it: lines that begin with a full stop have another one before it."""
    pieces = []
    begin = 0
    while begin < len(message):
        end = message.find(b"\r\n", begin + _PIECE_BYTES)
        end = end + 2 if end >= 0 else len(message)
        pieces.append(re.sub(rb"(?m)^\.", b"..", message[begin:end]))
        begin = end
    if not message.endswith(b"\r\n"):
        pieces.append(b"\r\n")
    return pieces


def _encoded(content: bytes) -> Iterator[bytes]:
    """Base64 in lines, none of which begins with a full stop."""
    for begin in range(0, len(content), _ENCODED_BYTES):
        lines = base64.encodebytes(content[begin : begin + _ENCODED_BYTES])
        yield lines.replace(b"\n", b"\r\n")


def one_line(text: str) -> str:
    """The text without what could end a header's line."""
    return _NOT_PRINTED.sub(" ", text).strip()


def _answer(error: aiosmtplib.SMTPResponseException) -> str:
    return f"{error.code} {one_line(error.message)[:200]}"


def _reason(error: Exception, seconds: float) -> tuple[str, bool]:
    """What has gone wrong, for who submitted the command, and whether another try may help. No address of the server."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return "the mail server refused the login of this server", False
    if isinstance(error, aiosmtplib.SMTPRecipientRefused):
        return f"the mail server refused {error.recipient} ({_answer(error)})", error.code < 500
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"the mail server answered {_answer(error)}", error.code < 500
    if isinstance(error, TimeoutError):
        return f"the mail server did not answer within {seconds:g} s", True
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "the mail server's certificate is not trusted, or it speaks no TLS", False
    if isinstance(error, OSError):
        return "the mail server can't be reached", True
    # Our own words, or aiosmtplib's, which are about what the server can do.
    return one_line(str(error)).rstrip("."), False


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
