"""The subscription at work: its stores, its queues, its clock, and how long things take.

Latency "typical" is what Marketo's users report for calls of this size, so that overlaps and queues are seen; "none"
still lets other calls in between the looking up and the writing.
"""

from __future__ import annotations

import asyncio

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.activities import Activities
from crmsync.sandbox.marketo.custom_types import CustomTypes
from crmsync.sandbox.marketo.database import Database
from crmsync.sandbox.marketo.exports import Exports
from crmsync.sandbox.marketo.fields import Field, FieldTable, new_field
from crmsync.sandbox.marketo.imports import Imports
from crmsync.sandbox.marketo.lists import Lists, StaticList
from crmsync.sandbox.marketo.objects import COMPANY, SALES_PERSON, ObjectStore
from crmsync.sandbox.marketo.people import People
from crmsync.sandbox.marketo.person_writer import PersonWriter
from crmsync.sandbox.marketo.quota import Quota
from crmsync.sandbox.marketo.record_kinds import OPPORTUNITY, ROLE, RecordKind, opportunity_kind, role_kind
from crmsync.sandbox.marketo.records import Records
from crmsync.sandbox.marketo.retyping import change_type
from crmsync.sandbox.marketo.standard import FIELDS
from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.tokens import Tokens
from crmsync.sandbox.marketo.values import format_datetime

SECONDS: dict[str, dict[str, tuple[float, float]]] = {
    "none": {
        "read": (0.0, 0.0),
        "write": (0.005, 0.0),
        "import wait": (0.0, 0.0),
        "import": (0.0, 0.0),
        "export wait": (0.0, 0.0),
        "export": (0.0, 0.0),
    },
    "typical": {
        "read": (0.15, 0.0),
        "write": (0.3, 0.003),
        "import wait": (2.0, 0.0),
        "import": (1.0, 0.0),
        "export wait": (5.0, 0.0),
        "export": (2.0, 0.0),
    },
}
"""By latency and kind of work: seconds for the call, and for each of its records."""


class Marketo:
    """Everything the handlers work with."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.switches = Switches(subscription)
        self.database = Database(subscription.database)
        self.fields = {target: FieldTable(self.database, target, self.switches) for target in FIELDS}
        self.person_fields = self.fields["person"]
        self.companies = ObjectStore(self.database, COMPANY)
        self.sales_persons = ObjectStore(self.database, SALES_PERSON)
        self.objects = {"company": self.companies, "sales_person": self.sales_persons}
        self.people = People(self.database, self.person_fields, self.companies, self.switches)
        self.tokens = Tokens(subscription.clock)
        self.quota = Quota(subscription, self.database, self.switches)
        self.activities = Activities(self.database, subscription.clock)
        self.activity_pages = 0
        self.lists = Lists(self.database, self.activities)
        self.records = Records(self.database)
        self.custom_types = CustomTypes(self.database, self.switches)
        self.imports = Imports(self)
        self.exports = Exports(self)
        self._closed = False

    def moment(self) -> str:
        """Now, as records carry it."""
        return format_datetime(self.subscription.clock.now())

    async def work(self, kind: str, records: int = 0) -> None:
        """Take the time that this kind of work takes; other calls go on meanwhile."""
        call, record = SECONDS[self.subscription.limits.latency][kind]
        await asyncio.sleep(call + record * records)

    def opportunity_kind(self) -> RecordKind:
        """Opportunities, with what administrators added."""
        return opportunity_kind(self.fields["opportunity"])

    def role_kind(self) -> RecordKind:
        """Opportunity roles."""
        return role_kind(self.fields["opportunity_role"])

    def person_writer(self, action: str, lookup: Field, partition: int | None = None) -> PersonWriter:
        """A writer for one call or one import job."""
        return PersonWriter(
            self.people, self.activities, self.switches, action=action, lookup=lookup, partition=partition
        )

    def add_list(self, name: str, description: str | None = None, program: str | None = None) -> StaticList:
        """A static list made by hand by an administrator."""
        return self.lists.add(name, description, self.moment(), program)

    def tidy_up(self, target: str, key: str) -> bool:
        """Delete a company, a sales person or an opportunity as an administrator does, used or not; whether it was
        there."""
        with self.database.transaction():
            if target == "opportunity":
                found = self.records.by_keys(OPPORTUNITY, [key.lower()])
                self.records.delete_with(ROLE, "externalOpportunityId", [one.key for one in found.values()])
                for record in found.values():
                    self.records.delete(record)
                return bool(found)
            stored = self.objects[target].by_keys([key.lower()])
            for one in stored.values():
                self.objects[target].delete(one)
            return bool(stored)

    def add_field(self, target: str, name: str, display_name: str, data_type: str) -> Field:
        """A custom field made by hand by an administrator, on people, companies or opportunities."""
        return self.fields[target].add(new_field(name, display_name, data_type))

    def change_type(self, target: str, field: Field, data_type: str) -> None:
        """Another type for a custom field, as an administrator chooses it."""
        change_type(self.database, self.fields[target], target, field, data_type)

    async def close(self) -> None:
        """Stop imports and extracts and close the file; a second time does nothing."""
        if not self._closed:
            self._closed = True
            await self.imports.close()
            await self.exports.close()
            self.database.close()
