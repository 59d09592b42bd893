"""Where a secret comes from: an environment variable, a file, or a block of the orchestrator; never the value itself.

A tenant file names the place. ``SecretStore`` looks there; blocks are read through a function that the ``tasks``
package hands in, because the library knows nothing of Prefect.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from crmsync.errors import SecretMissing

BlockReader = Callable[[str], Awaitable[str | None]]


class SecretSource(BaseModel):
    """Exactly one of ``env`` (variable name), ``file`` (path) and ``block`` (name of a Prefect Secret block)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Path | None = None
    block: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}$")] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretSource:
        if sum(place is not None for place in (self.env, self.file, self.block)) != 1:
            raise ValueError("name exactly one place for the secret: env, file or block")
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        return f"Prefect block {self.block}"


class SecretStore:
    """Looks secrets up. Variables that the process lacks are looked for in ``.env`` beside the tenant file."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        read_block: BlockReader | None = None,
    ) -> None:
        self._folder = folder
        self._environment = os.environ if environment is None else environment
        self._read_block = read_block

    async def get(self, source: SecretSource, *, tenant: str, purpose: str) -> SecretStr:
        """The secret at ``source``; raises ``SecretMissing`` that names the place, the purpose and the remedy."""
        value = await self._look(source)
        if not value:
            raise SecretMissing(
                f"{purpose}: {source} holds no secret",
                tenant=tenant,
                remedy=f"Put the {purpose} there, or name another place in the tenant file "
                "(env: a variable, file: a path, block: a Prefect Secret block).",
            )
        return SecretStr(value)

    async def _look(self, source: SecretSource) -> str | None:
        if source.env is not None:
            return self._environment.get(source.env) or _beside(self._folder / ".env").get(source.env)
        if source.file is not None:
            path = source.file if source.file.is_absolute() else self._folder / source.file
            return path.read_text(encoding="utf-8").strip() if path.is_file() else None
        return await self._read_block(str(source.block)) if self._read_block else None


def _beside(path: Path) -> Mapping[str, str | None]:
    """What stands in this file; parsed once as long as it is the same, for the tenants of a fleet may share it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return {}
    return _parsed(path, found.st_ino, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=1)
def _parsed(path: Path, *_: int) -> Mapping[str, str | None]:
    return dotenv_values(path, interpolate=False)  # a secret is what stands there, also with ${ in it
