"""What a command shows: the steps as they are done, bars while records move, errors with their remedy."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from crmsync.engine.report import Progress
from crmsync.errors import CrmsyncError

WIDTH_OF_A_FILE = 140


def terminal(*, stderr: bool = False) -> Console:
    """A console that leaves wrapping to the terminal, so that what is copied or piped has whole lines."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, soft_wrap=True, highlight=False, width=None if stream.isatty() else WIDTH_OF_A_FILE)


class Story:
    """Hears a flow's steps (``tasks.telling.Listener``) and shows them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars: Bars | None = None
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> Story:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close_bars()

    def said(self, line: str) -> None:
        self._close_bars()
        self.console.print(f"  [green]✓[/] {escape(line)}")

    def progressed(self, progress: Progress) -> None:
        if self._bars is None:
            self._bars = _bars(self.console)
            self._bars.start()
        if progress.entity not in self._rows:
            self._rows[progress.entity] = self._bars.add_task(progress.entity, total=progress.total, speed="")
        speed = f"{progress.rate:,.0f}/s" if progress.rate else ""
        self._bars.update(
            self._rows[progress.entity],
            completed=progress.done,
            total=None if progress.total is None else max(progress.total, progress.done),
            speed=speed,
        )

    def waits(self, line: str) -> None:
        self._close_bars()
        self.console.print(f"  [yellow]…[/] {escape(line)}")

    def _close_bars(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._rows = None, {}


def show_error(console: Console, error: CrmsyncError) -> None:
    """What was found in red, what to do below."""
    found, _, remedy = str(error).partition("\nWhat to do: ")
    console.print(f"[bold red]{escape(found)}[/]")
    if remedy:
        console.print(f"[bold]What to do:[/] {escape(remedy)}")


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("    {task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
    )
