"""A wire between a client and PostgreSQL that breaks at COMMIT, before the server has heard it or after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import make_url

SOCKET = ".s.PGSQL.5432"


class Wire:
    """``breaks``: how often it will break at COMMIT, and whether the server hears it first."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._breaks: list[Literal["before", "after"]] = []
        self.broken = 0

    def break_at_commit(self, *when: Literal["before", "after"]) -> None:
        self._breaks += when

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(self._pass_on(from_server, writer))
        try:
            while asked := await reader.read(65536):
                if b"COMMIT" in asked and self._breaks:
                    self.broken += 1
                    answers.cancel()
                    if self._breaks.pop(0) == "after":
                        to_server.write(asked)
                        await from_server.read(65536)
                    break
                to_server.write(asked)
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers
            for side in (writer, to_server):
                side.close()
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while told := await reader.read(65536):
                writer.write(told)
            writer.close()


@asynccontextmanager
async def breaking_wire(url: str, folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the database of ``url``, and the URL that leads over it."""
    there = make_url(url)
    wire = Wire(f"{there.query['host']}/{SOCKET}")
    server = await asyncio.start_unix_server(wire.serve, folder / SOCKET)
    try:
        yield wire, there.set(query={"host": str(folder)}).render_as_string(hide_password=False)
    finally:
        server.close()
        await server.wait_closed()
