"""The steps: Prefect tasks, each a thin shell (name, retries, time-out, artifact) around one crmsync call."""

from tasks.checks import run_checks
from tasks.comparing import compare_sides
from tasks.credentials import save_credentials, validate_credentials
from tasks.fields import plan_fields, refresh_schema, review_fields, select_fields
from tasks.fleet import open_fleet
from tasks.notification import notify
from tasks.prepare import prepare_dynamics
from tasks.syncing import await_first_sync, disable_sync, enable_sync, resync_records, run_cycle, sync_record

__all__ = [
    "await_first_sync",
    "compare_sides",
    "disable_sync",
    "enable_sync",
    "notify",
    "open_fleet",
    "plan_fields",
    "prepare_dynamics",
    "refresh_schema",
    "resync_records",
    "review_fields",
    "run_checks",
    "run_cycle",
    "save_credentials",
    "select_fields",
    "sync_record",
    "validate_credentials",
]
