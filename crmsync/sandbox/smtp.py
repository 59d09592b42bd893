"""A mail server that keeps every message as an ``.eml`` file in a folder, in the order in which they came.

The envelope is kept in the headers ``X-MailFrom`` and ``X-RcptTo``, as aiosmtpd's own mailbox handler does
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP


class Mailbox:
    """aiosmtpd's handler: one file a message, named ``0001.eml`` and so on; whole or not there at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._count = len(list(folder.glob("*.eml")))

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep one message."""
        self._count += 1
        path = self.folder / f"{self._count:04d}.eml"
        head = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {', '.join(envelope.rcpt_tos)}\r\n"
        partial = path.with_suffix(".part")
        partial.write_bytes(head.encode("utf-8") + bytes(envelope.content))
        partial.replace(path)
        return "250 OK"


@asynccontextmanager
async def mail_server(mailbox: Path, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Run the server while the block runs; gives its port."""
    loop = asyncio.get_running_loop()
    handler = Mailbox(mailbox)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True, loop=loop), host, 0
    )
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()
