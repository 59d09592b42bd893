"""A check, and running checks in order: what needs a line that is not green is not run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from crmsync.engine.report import CheckLine
from crmsync.errors import CrmsyncError

TRY_AGAIN = "Try again in a few minutes; if it stays, report it with this line's text."


@dataclass(frozen=True)
class Check:
    """One line to be: ``look`` gives what was found, or raises the error that makes the line red."""

    name: str
    proves: str
    look: Callable[[], Awaitable[str]]
    needs: tuple[str, ...] = ()


class ToldElsewhere(Exception):
    """Raised by a look whose matter another red line has told already: this line counts as not run."""


async def run(side: Literal["Dynamics", "Marketo"], checks: list[Check]) -> list[CheckLine]:
    """Each check in turn."""
    lines: dict[str, CheckLine] = {}
    for check in checks:
        line = CheckLine(name=check.name, side=side, status="not run", proves=check.proves)
        lines[check.name] = line
        waits_for = next((name for name in check.needs if lines[name].status != "green"), None)
        if waits_for is not None:
            line.found = f"waits for '{waits_for}'"
        else:
            await _look(check, line)
    return list(lines.values())


async def _look(check: Check, line: CheckLine) -> None:
    try:
        line.found = await check.look()
        line.status = "green"
    except ToldElsewhere as told:
        line.found = str(told)
    except CrmsyncError as error:
        line.status, line.found, line.remedy = "red", error.message, error.remedy or TRY_AGAIN
