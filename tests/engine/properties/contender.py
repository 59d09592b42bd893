"""Another process that wants the tenant as well, whose clock is wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import Self

_PROGRAM = """
import asyncio, datetime, sys

real, ahead = datetime.datetime, datetime.timedelta()

class Wrong(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + ahead

datetime.datetime = Wrong
from crmsync.state.store import open_store

async def no_time(_):
    pass

async def main():
    global ahead
    async with open_store(sys.argv[1]) as store:
        print("ready", flush=True)
        for line in sys.stdin:
            ahead = datetime.timedelta(minutes=int(line))
            lease = await store.leases.take("contoso", "contender", sleep=no_time)
            if lease is not None:
                await store.leases.give_back(lease)
            print("busy" if lease is None else "taken", flush=True)

asyncio.run(main())
"""


class Contender:
    """The process, which waits to be asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, state_url: str) -> Self:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, state_url, stdin=pipe, stdout=pipe
        )
        contender = cls(process)
        assert await contender._line() == "ready"
        return contender

    async def takes(self, minutes: int) -> bool:
        """Whether it gets the lease when its clock is ``minutes`` ahead."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{minutes}\n".encode())
        await self._process.stdin.drain()
        answer = await self._line()
        assert answer in ("busy", "taken"), "the contender has died"
        return answer == "taken"

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()
