"""The three steps of Marketo's admin screen, one function for each thing an administrator does there.

Enter Credentials: ``validate_credentials``, ``save_credentials``. Select Fields to Sync: ``refresh_schema``,
``select_fields``. Enable Sync: ``enable_sync`` (and ``disable_sync``). Each can be run again: what is done is kept. The
steps are those of "Step 3 of 3: Connect Marketo and Dynamics".
"""

from crmsync.engine.setup.credentials import (
    Proof,
    ensure_bound,
    organization_replaced,
    save_credentials,
    validate_credentials,
)
from crmsync.engine.setup.enabling import Enabled, disable_sync, enable_sync
from crmsync.engine.setup.renaming import renamed
from crmsync.engine.setup.schema import SchemaRefresh, keep_snapshot, refresh_schema, snapshots
from crmsync.engine.setup.selection import park_vanished, plan_fields, saved_selection, select_fields

__all__ = [
    "Enabled",
    "Proof",
    "SchemaRefresh",
    "disable_sync",
    "enable_sync",
    "ensure_bound",
    "keep_snapshot",
    "organization_replaced",
    "park_vanished",
    "plan_fields",
    "refresh_schema",
    "renamed",
    "save_credentials",
    "saved_selection",
    "select_fields",
    "snapshots",
    "validate_credentials",
]
