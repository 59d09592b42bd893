"""What Adobe's documents leave open: each question with the answer assumed, and what else may be set.

An administrator puts another answer into ``Subscription.switches``; it holds from the next call on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.errors import RefusedValueError

SWITCHES: dict[str, tuple[object, ...]] = {
    "empty_csv_cell": ("keep", "clear"),
    "null_csv_cell": ("text", "clear"),
    "unknown_csv_column": ("warn", "fail"),
    "long_strings": ("refuse", "cut"),
    "emoji": ("keep", "cut"),
    "outer_space": ("keep", "trim"),
    "line_ends": ("keep", "line_feeds"),
    "email_case": ("keep", "lower"),
    "phone_numbers": ("keep", "digits"),
    "urls": ("keep", "lower"),
    "decimals": ("keep", "two"),
    "unset_boolean": ("null", "false"),
    "unknown_field": ("record", "call"),
    "hidden_field": ("unknown", "kept"),
    "same_key_twice": ("in_order", "refuse"),
    "missing_lookup_value": ("skip", "create"),
    "missing_link": ("record", "call"),
    "company_fields_when_linked": ("refuse", "ignore"),
    "unlink_company": ("refuse", "ignore"),
    "company_with_people": ("refuse", "delete"),
    "key_case": ("insensitive", "sensitive"),
    "unchanged_moves_updated_at": (False, True),
    "field_limit_scope": ("subscription", "call"),
    "limit_errors_count": (False, True),
    "unknown_owner_of_opportunity": ("call", "record"),
    "merge_losers_in_deleted_leads": (False, True),
    "company_change_in_extract": (True, False),
    "extract_partitions": ("all", "default"),
    "partitions": ("default", "default_and_europe"),
    "custom_object_types": ("on", "off"),
    "custom_objects": ("on", "off"),
    "updated_at_extract": ("supported", "unsupported"),
    "remove_non_member": ("notmemberof", "skip"),
    "activity_pages": ("short_now_and_then", "full"),
    "activity_ids": ("present", "absent"),
    "paging_token_hours": (24, 168),
    "export_daily_megabytes": (500, 1),
    "day_zone": ("America/Chicago", "Etc/GMT+6"),
    "daily_quota": (50_000, 10_000),
}
"""Name of a switch, then its answers; the first one is the default. Quotas take any whole number."""


class Switches:
    """The subscription's answers, read anew at every call."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    def __getitem__(self, name: str) -> Any:
        return self._subscription.switches.get(name, SWITCHES[name][0])

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse a record that holds a value which the subscription refuses."""
        for refusal in self._subscription.refusals:
            if refusal.concerns(values):
                raise RefusedValueError(refusal.code, refusal.message)

    def on(self, name: str, answer: object) -> bool:
        """Whether ``answer`` holds."""
        return bool(self[name] == answer)
