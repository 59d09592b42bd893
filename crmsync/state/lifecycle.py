"""The states of a tenant and the moves between them.

``new → credentials_saved → schema_refreshed → fields_selected → first_sync → syncing``; ``disabled`` (by an operator)
and ``stopped`` (by an error) are reachable from the last two, and lead back to them. The order is that of the three
steps on Marketo's admin screen: Enter Credentials, Select Fields to Sync, Enable Sync.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise


class TenantState(StrEnum):
    """Where a tenant stands between "new" and "syncing"."""

    NEW = "new"
    CREDENTIALS_SAVED = "credentials_saved"
    SCHEMA_REFRESHED = "schema_refreshed"
    FIELDS_SELECTED = "fields_selected"
    FIRST_SYNC = "first_sync"
    SYNCING = "syncing"
    DISABLED = "disabled"
    STOPPED = "stopped"


_STEPS = (
    TenantState.NEW,
    TenantState.CREDENTIALS_SAVED,
    TenantState.SCHEMA_REFRESHED,
    TenantState.FIELDS_SELECTED,
    TenantState.FIRST_SYNC,
)

MOVES: frozenset[tuple[TenantState, TenantState]] = frozenset(
    [
        *pairwise(_STEPS),
        (TenantState.FIRST_SYNC, TenantState.SYNCING),
        *(
            (start, end)
            for start in (TenantState.FIRST_SYNC, TenantState.SYNCING)
            for end in (TenantState.DISABLED, TenantState.STOPPED)
        ),
        *(
            (start, end)
            for start in (TenantState.DISABLED, TenantState.STOPPED)
            for end in (TenantState.FIRST_SYNC, TenantState.SYNCING)
        ),
        (TenantState.STOPPED, TenantState.DISABLED),
    ]
)
"""Every move that is allowed; rebinding to another organization, which starts anew, is the one exception."""


def has_reached(state: TenantState, step: TenantState) -> bool:
    """Whether ``state`` is at or past a step of the set-up. Past the first sync's start everything is reached."""
    if state not in _STEPS:
        return True
    return _STEPS.index(state) >= (_STEPS.index(step) if step in _STEPS else len(_STEPS))
