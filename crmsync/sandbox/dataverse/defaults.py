"""What Dataverse fills in by itself when a row is created: ids, owner, state, dates, full name, base amounts.

"Create a table row", "Money columns" and the table references (Power Apps developer documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.schema import LiveTable

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.seed import Ids


def full_name(row: Mapping[str, Any]) -> str | None:
    """First and last name as organizations write them by default (``First Name Last Name``)."""
    parts = [row.get("firstname"), row.get("lastname")]
    return " ".join(part for part in parts if part) or None


class Defaults:
    """Fills in new rows of one table; made anew whenever the schema changes."""

    def __init__(self, table: LiveTable, ids: Ids, rates: dict[str, float]) -> None:
        columns = table.stored
        self._key = table.primary_id
        self._rates = rates
        self._fixed: dict[str, Any] = {
            name: int(column.default) for name, column in columns.items() if column.default is not None
        }
        if "ownerid" in columns:
            self._fixed |= {"ownerid": ids.system_user, "owningbusinessunit": ids.business_unit}
        for name in ("createdby", "modifiedby"):
            if name in columns:
                self._fixed[name] = ids.system_user
        self._created = "createdon" in columns
        self._named = "firstname" in columns
        self._owned = "ownerid" in columns
        # The currency table's own rate is no copy of another row's.
        has_currency = (
            table.primary_id != "transactioncurrencyid" and {"transactioncurrencyid", "exchangerate"} <= columns.keys()
        )
        self._currency = ids.currency if has_currency else None
        self._money = [(name, f"{name}_base") for name in columns if f"{name}_base" in columns]
        self._types = {
            name: (f"{name}type", column.references[0].target) for name, column in columns.items() if column.polymorphic
        }
        self._states = {
            option.value: option.default_status
            for column in columns.values()
            if column.kind == "State"
            for option in column.options
        }

    def fill(self, row: Mapping[str, Any], now: str, version: int) -> dict[str, Any]:
        """The row as stored: what is given, and the rest by default."""
        record = {**self._fixed, **row}
        if not record.get(self._key):
            record[self._key] = str(uuid.uuid4())
            if isinstance(row, dict):
                row[self._key] = record[self._key]
        record["versionnumber"] = version
        for name, (kind, target) in self._types.items():
            if record.get(name) and not record.get(kind):
                record[kind] = target
        if self._created:
            self._stamp(record, now)
        if self._owned:
            owner = "owningteam" if record.get("owneridtype") == "team" else "owninguser"
            record[owner] = record["ownerid"]
        if self._states:
            record["statecode"] = record.get("statecode") or 0
            record["statuscode"] = record.get("statuscode") or self._states[record["statecode"]]
        if self._named and not record.get("fullname"):
            record["fullname"] = full_name(record)
        if self._currency:
            self._convert_money(record)
        return record

    @staticmethod
    def _stamp(record: dict[str, Any], now: str) -> None:
        created = record.get("overriddencreatedon") or record.get("createdon")
        if record.get("overriddencreatedon"):
            # The real moment and the given one change places, as the platform does it.
            record["overriddencreatedon"] = now
        record["createdon"] = created or now
        record["modifiedon"] = record.get("modifiedon") or now

    def _convert_money(self, record: dict[str, Any]) -> None:
        amounts = [(name, base) for name, base in self._money if record.get(name) is not None]
        if not amounts and not record.get("transactioncurrencyid"):
            return
        currency = record.get("transactioncurrencyid") or self._currency
        record["transactioncurrencyid"] = currency
        rate = self._rates.get(str(currency), 1.0)
        record["exchangerate"] = rate
        for name, base in amounts:
            record[base] = round(record[name] / rate, 4)

    def changed_money(self, current: Mapping[str, Any], changes: dict[str, Any]) -> None:
        """Add to ``changes`` the rate and the base amounts that follow from them."""
        if self._currency is None:
            return
        touched = "transactioncurrencyid" in changes or any(name in changes for name, _ in self._money)
        if not touched:
            return
        merged = {**current, **changes}
        self._convert_money(merged)
        for name in ("transactioncurrencyid", "exchangerate"):
            changes[name] = merged.get(name)
        for name, base in self._money:
            changes[base] = merged.get(base) if merged.get(name) is not None else None
