"""The mail server: every message becomes a file."""

from __future__ import annotations

import asyncio
import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from crmsync.sandbox.smtp import mail_server


def send(port: int, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "crmsync@contoso.example", "ops@contoso.example", subject
    message.set_content("The first sync is done.\n.\nRecords: 1,234 – Zoë 🎉\n")
    with smtplib.SMTP("localhost", port) as client:
        client.send_message(message)


async def test_messages_are_kept_in_their_order(tmp_path: Path) -> None:
    async with mail_server(tmp_path / "mailbox") as port:
        for subject in ("first", "second"):
            await asyncio.to_thread(send, port, subject)

    files = sorted((tmp_path / "mailbox").iterdir())
    messages = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    assert [file.name for file in files] == ["0001.eml", "0002.eml"]
    assert [message["Subject"] for message in messages] == ["first", "second"]
    assert "Zoë 🎉" in messages[0].get_content()
    assert messages[0]["X-RcptTo"] == "ops@contoso.example"
