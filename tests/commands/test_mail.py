"""Mail of commands, against a real SMTP server: what arrives, what is refused, and what is known after a failure."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.mail import (
    MAX_ADDRESSES,
    PASSWORD_VARIABLE,
    Attachment,
    Mailer,
    MailFailed,
    parse_addresses,
)
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Submission
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.errors import Unreadable
from jupyter_dashboards_api.kernels.environment import SERVER_CREDENTIALS, inherited_environment
from tests.ports import free_port

from .smtp import PASSWORD, USER, MailServer, certificate, mail_server

PDF = Attachment("sales – März.pdf", "application/pdf", b"%PDF-1.7\n.\r\n..\n\xff")


def mailer(server: MailServer, **traits: Any) -> Mailer:
    options = {"host": "127.0.0.1", "port": server.port, "tls": "none", "timeout": 20.0}
    return Mailer(**{**options, "from_address": "dashboards@example.org", **traits})


async def send(to: Mailer, *addresses: str, **options: Any) -> None:
    content = {"subject": "Sales", "text": "Here it is.\n", "attachments": [PDF], **options}
    await to.send(list(addresses) or ["ann@example.org"], message_id="command-7.1", **content)


# --- addresses


def test_addresses_are_a_list_or_a_text_with_commas_and_each_counts_once() -> None:
    expected = ["ann@example.org", "b.o+x@mail.example.org"]
    assert parse_addresses("ann@example.org, b.o+x@mail.example.org,Ann@Example.org,") == expected
    assert parse_addresses(["ann@EXAMPLE.org", "b.o+x@mail.example.org"]) == expected
    assert parse_addresses(None) == parse_addresses("") == parse_addresses([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "ann",
        "ann@",
        "@example.org",
        "ann@@example.org",
        "ann@exam ple.org",
        "a.@example.org",
        ".a@example.org",
        "a..b@example.org",
        "-oX@example.org",
        "ann@-example.org",
        "ann@example..org",
        "Ann <ann@example.org>",
        '"ann"@example.org',
        "ann@[127.0.0.1]",
        "änn@example.org",
        "ann@exämple.org",
        "ann@example.org\n",
        "ann@example.org\r\nBcc: eve@example.org",
        "ann@example.org\0",
        "ann@example.org;eve@example.org",
        "a" * 65 + "@example.org",
        "ann@" + "a" * 64 + ".org",
    ],
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    for given_as in (text, [text]):
        with pytest.raises(Unreadable, match="is no mail address"):
            parse_addresses(given_as)


@pytest.mark.parametrize("value", [7, {"a": 1}, [7], [None], True, b"a@b.c", [""]])
def test_what_is_no_text_and_no_list_of_texts_is_refused(value: Any) -> None:
    with pytest.raises(Unreadable):
        parse_addresses(value)


def test_more_addresses_than_a_mail_can_have_are_refused() -> None:
    many = [f"a{number}@example.org" for number in range(MAX_ADDRESSES + 1)]
    assert parse_addresses(many[1:] + many[1:]) == many[1:]
    with pytest.raises(Unreadable, match="at most 50"):
        parse_addresses(many)


_PIECES = st.sampled_from(
    [
        "a",
        "@",
        "example.org",
        ",",
        "\r",
        "\n",
        "\0",
        "\r\nBcc: ",
        " ",
        "<",
        ">",
        '"',
        "é",
        "\u2028",
        ".",
        "-",
        ";",
        ":",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=9).map("".join)))
def test_whatever_is_taken_for_addresses_can_end_no_header(text: str) -> None:
    try:
        found = parse_addresses(text)
    except Unreadable:
        return
    assert len({address.lower() for address in found}) == len(found) <= MAX_ADDRESSES
    message = EmailMessage()
    message["To"] = ", ".join(found)
    assert [str(each.addr_spec) for each in message["To"].addresses] == found
    for address in found:
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(' ,;:<>"\\()[]')


# --- delivery


async def test_a_mail_arrives_with_its_attachment_byte_for_byte() -> None:
    async with mail_server() as server:
        await send(mailer(server), "ann@example.org", "bob@example.org")
    assert server.recipients == [["ann@example.org", "bob@example.org"]]
    message = server.messages[0]
    assert message["From"] == "dashboards@example.org"
    assert message["To"] == "ann@example.org, bob@example.org"
    assert message["Subject"] == "Sales"
    assert message["Message-ID"] == "<command-7.1@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_body().get_content() == "Here it is.\r\n"  # type: ignore[union-attr]
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == PDF.name
    assert attachment.get_content_type() == PDF.mime
    assert attachment.get_content() == PDF.content


async def test_a_large_mail_arrives_whole() -> None:
    large = Attachment("a.pdf", "application/pdf", bytes(range(256)) * 4096 * 9)
    text = "".join(f".{number}\n..\n.\n" for number in range(20_000)) + "é" * 2000
    async with mail_server(data_size_limit=None) as server:
        await send(mailer(server), text=text, attachments=[large])
    (message,) = server.messages
    (attachment,) = message.iter_attachments()
    assert attachment.get_content() == large.content
    assert message.get_body().get_content().replace("\r\n", "\n").rstrip("\n") == text  # type: ignore[union-attr]


async def test_a_server_that_takes_no_mail_of_this_size_says_so_before_it_has_it() -> None:
    async with mail_server(data_size_limit=10_000) as server:
        with pytest.raises(MailFailed, match="552") as failed:
            await send(mailer(server), attachments=[Attachment("a", "a/b", b"x" * 10_000)])
    assert server.begun == 0
    assert not failed.value.retryable


@pytest.mark.parametrize("text", ["", "\r", ".", "\n.\n", "x" * 5000, "\x0b\x1c\x85\u2028.", "\0"])
async def test_any_text_arrives(text: str) -> None:
    async with mail_server() as server:
        await send(mailer(server), text=text)
    body = server.messages[0].get_body().get_content()  # type: ignore[union-attr]
    assert "".join(body.split()).replace("\0", "") == "".join(text.split()).replace("\0", "")


async def test_no_subject_and_no_file_name_can_add_a_header() -> None:
    evil = "x\r\nBcc: eve@example.org\n\n<script>\0\u2028"
    async with mail_server() as server:
        await send(
            mailer(server),
            subject=evil,
            text="\r\n.\r\nMAIL FROM:<eve@example.org>\r\n\udc80",
            attachments=[Attachment(evil, "image/png", b"1")],
        )
    (message,) = server.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "x Bcc: eve@example.org <script>"
    assert "MAIL FROM:<eve@example.org>" in message.get_body().get_content()  # type: ignore[union-attr]
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "x Bcc: eve@example.org <script>"


async def test_a_server_with_starttls_gets_mail_encrypted_and_after_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    file, context = certificate(tmp_path)
    async with mail_server(
        tls_context=context, require_starttls=True, auth_required=True
    ) as server:
        await send(mailer(server, tls="starttls", ca_file=str(file), username=USER))
    assert server.encrypted == [True]
    assert server.users == [USER.encode()]


async def test_a_server_that_speaks_tls_from_the_start_gets_mail(tmp_path: Path) -> None:
    file, context = certificate(tmp_path)
    async with mail_server(tls=context) as server:
        await send(mailer(server, tls="tls", ca_file=str(file)))
    assert server.encrypted == [True]


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(tmp_path: Path, tls: str) -> None:
    _, context = certificate(tmp_path)
    options = {"tls": context} if tls == "tls" else {"tls_context": context}
    async with mail_server(**options) as server:  # type: ignore[arg-type]
        with pytest.raises(MailFailed, match="certificate is not trusted") as failed:
            await send(mailer(server, tls=tls))
    assert not failed.value.retryable
    assert server.messages == []


async def test_a_server_without_starttls_gets_nothing_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    async with mail_server(auth_require_tls=False) as server:
        with pytest.raises(MailFailed) as failed:
            await send(mailer(server, tls="starttls", username=USER))
    assert not failed.value.retryable
    assert server.messages == []
    assert server.users == []


async def test_a_wrong_password_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong-password")
    async with mail_server(auth_require_tls=False) as server:
        with pytest.raises(MailFailed, match="refused the login") as failed:
            await send(mailer(server, username=USER))
    assert "wrong-password" not in failed.value.message
    assert not failed.value.retryable
    assert server.messages == []


async def test_a_password_is_not_sent_over_a_network_in_the_clear() -> None:
    # A name that nobody asks for: it fails before.
    to = Mailer(host="mail.example.org", tls="none", username=USER, from_address="a@example.org")
    with pytest.raises(MailFailed, match="a password is not sent without TLS"):
        await send(to)


async def test_recipients_that_the_server_refuses_are_named_and_the_others_get_it() -> None:
    async with mail_server() as server:
        server.refused = {"bob@example.org": "550 no such user"}
        with pytest.raises(MailFailed, match=r"refused bob@.*; the others") as failed:
            await send(mailer(server), "ann@example.org", "bob@example.org")
    assert server.recipients == [["ann@example.org"]]
    # Ann would get it twice.
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("answer", "retryable"), [("550 no such user", False), ("451 later", True)]
)
async def test_a_mail_whose_recipients_are_all_refused_is_not_sent(
    answer: str, retryable: bool
) -> None:
    async with mail_server() as server:
        server.refused = {"ann@example.org": answer}
        with pytest.raises(MailFailed, match=answer) as failed:
            await send(mailer(server))
    assert server.messages == []
    assert failed.value.retryable is retryable


@pytest.mark.parametrize(("answer", "retryable"), [("554 spam", False), ("452 full", True)])
async def test_a_mail_that_the_server_refuses_in_the_end_says_its_reason(
    answer: str, retryable: bool
) -> None:
    async with mail_server() as server:
        server.data_answer = answer
        with pytest.raises(MailFailed, match=answer) as failed:
            await send(mailer(server))
    assert failed.value.retryable is retryable


async def test_a_server_that_hangs_before_the_mail_is_given_up_and_may_be_asked_again() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        to = Mailer(host="127.0.0.1", port=port, tls="none", timeout=0.3, from_address="a@b.org")
        with pytest.raises(MailFailed, match=r"did not answer within 0\.3 s") as failed:
            await send(to)
    finally:
        server.close()
    assert failed.value.retryable


async def test_a_server_that_hangs_with_the_mail_may_have_sent_it() -> None:
    async with mail_server() as server:
        server.hangs.clear()
        with pytest.raises(MailFailed, match="may have been sent") as failed:
            await send(mailer(server, timeout=3))
        assert len(server.messages) == 1
    assert not failed.value.retryable


async def test_a_server_that_is_not_there_may_be_asked_again() -> None:
    port = free_port()
    to = Mailer(host="127.0.0.1", port=port, tls="none", from_address="a@b.org")
    with pytest.raises(MailFailed, match="can't be reached") as failed:
        await send(to)
    assert failed.value.retryable
    assert str(port) not in failed.value.message


async def test_too_large_attachments_are_refused_before_anybody_is_asked() -> None:
    async with mail_server() as server:
        with pytest.raises(MailFailed, match="have 11 bytes; a mail can have 10"):
            await send(
                mailer(server, max_attachment_bytes=10),
                attachments=[
                    Attachment("a", "text/plain", b"12345"),
                    Attachment("b", "text/plain", b"123456"),
                ],
            )
        assert server.messages == []


async def test_a_server_without_mail_says_so() -> None:
    to = Mailer()
    assert not to.is_configured
    with pytest.raises(MailFailed, match=r"Mailer\.host is not set"):
        await send(to)


def test_the_sender_must_be_an_address() -> None:
    with pytest.raises(TraitError, match="is no mail address"):
        Mailer(from_address="x\nBcc: y@z.org")


def test_no_kernel_inherits_the_password() -> None:
    inherited = inherited_environment(
        {PASSWORD_VARIABLE: PASSWORD, "HOME": "/x"}, SERVER_CREDENTIALS
    )
    assert PASSWORD_VARIABLE not in inherited
    assert inherited["HOME"] == "/x"


# --- a command's mail


async def claimed(store: CommandStore, **options: Any) -> CommandInfo:
    await store.submit(
        Submission("NotebookConvertCommand", "ann", "a.ipynb", None, {}, "x", **options)
    )
    (command,) = await store.claim("here", 1, Limits(1))
    return command


async def deliver(store: CommandStore, command: CommandInfo, to: Mailer) -> str:
    """Sends a command's mail; what is in its log then."""
    log = CommandLogger(lambda text: store.log(command, text))
    try:
        await to.deliver(command, log, store, ["ann@example.org"], "Sales", "Here.", [PDF])
    finally:
        await log.close()
    return await store.log_of(command.id)


async def test_the_mail_of_a_command_is_logged_and_named_by_the_command(database: Database) -> None:
    store = CommandStore(database)
    command = await claimed(store, retry=2)
    async with mail_server() as server:
        assert "Mail: sent to ann@example.org." in await deliver(store, command, mailer(server))
        await deliver(store, command, mailer(server))
    first, again = (message["Message-ID"] for message in server.messages)
    assert first == again
    assert first.startswith(f"<command-{command.id}.")
    # Whoever finds it after a crash does not send it again.
    (orphan,) = await store.orphans("The server stopped.")
    lost = orphan.command
    assert lost.status == "error"
    assert lost.error == {"message": "The server stopped. Its mail had been sent."}


async def test_a_mail_that_was_under_way_when_its_server_died_is_not_sent_again(
    database: Database,
) -> None:
    store = CommandStore(database)
    command = await claimed(store, retry=2)
    assert await store.stage(command, "sending")
    (orphan,) = await store.orphans("The server stopped.")
    lost = orphan.command
    assert lost.status == "error"
    assert "may have been sent, so it is not sent again" in str(lost.error)
    assert not await store.stage(command, "sending")
    async with mail_server() as server:
        with pytest.raises(MailFailed, match="Another server"):
            await deliver(store, command, mailer(server))
        assert server.messages == []


async def test_a_mail_that_nobody_has_got_leaves_its_command_free_for_another_try(
    database: Database,
) -> None:
    store = CommandStore(database)
    command = await claimed(store, retry=2)
    async with mail_server() as server:
        server.data_answer = "452 full"
        with pytest.raises(MailFailed):
            await deliver(store, command, mailer(server))
    assert "Mail: The mail was not sent: the mail server answered 452 full." in (
        await store.log_of(command.id)
    )
    (orphan,) = await store.orphans("The server stopped.")
    lost = orphan.command
    assert lost.status == "waiting"
