"""Markdown for artifacts: tables whose cells may hold anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST_ROWS = 500
"""Longer tables make the browser slow; the rest is counted instead of shown."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> str:
    """A table, or ``empty`` when there are no rows."""
    lines = [_line(row) for row in rows]
    if not lines:
        return empty
    shown = [_line(head), "|" + " --- |" * len(head), *lines[:MOST_ROWS]]
    if len(lines) > MOST_ROWS:
        shown += ["", f"… and {len(lines) - MOST_ROWS:,} more."]
    return "\n".join(shown)


def section(title: str, body: str) -> str:
    """A heading with its text; nothing without text."""
    return f"## {title}\n\n{body}\n" if body else ""


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>")
