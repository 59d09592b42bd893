"""The demo's acts, each of which does one thing that an administrator does and proves what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape

from crmsync.cli.demo_stage import TENANT, Box
from crmsync.cli.running import heard
from crmsync.engine.status import errors, status
from crmsync.errors import RequestRefused
from crmsync.state.store import open_store

DELETED_COLUMN = "new_favouritecolour"
NEW_TITLE = "Head of Everything"
NEW_PHONE = "+1 555 0100"
NEW_LEAD = {"firstname": "Ada", "lastname": "Lovelace", "jobtitle": "Analyst", "emailaddress1": "ada@lovelace.example"}


class Acts:
    """Knows the sandbox and the console; each method is an act, and returns what it proved."""

    def __init__(self, box: Box, console: Console) -> None:
        self._box = box
        self._console = console

    async def register(self) -> str:
        """Make the deployments, so that everything below is also in the Prefect UI, with a form."""
        from deployments.register import register

        done = await register(self._box.tenants)
        self._line(f"Registered {', '.join(sorted(done.written))}")
        return "deployments registered: connect, sync (every 5 minutes), resync, compare, validate, prepare"

    async def connect(self) -> str:
        """The three steps, and the first sync to its end."""
        from flows.connect import connect

        report = await heard(self._console, lambda: connect(TENANT))
        self._expect(report.total.created > 0, "the first sync brought records to Marketo")
        self._mail("first sync done")
        told, total = await self._why_not_synced(), report.total
        return f"{total.created:,} records in Marketo, {total.filtered:,} kept out, {told:,} sync errors told"

    async def change(self) -> str:
        """A changed and a new lead in Dynamics arrive in Marketo with the next cycle."""
        from flows.sync import sync

        async with self._box.administrator() as dynamics, self._box.marketo() as marketo:
            found = await marketo.people("msType", ["Lead"], ["dynamicsId", "firstName", "lastName", "title"])
            person = next(one for one in found if one["firstName"] and one["lastName"])
            name, key = f"{person['firstName']} {person['lastName']}", str(person["dynamicsId"])
            await dynamics.update("leads", key, {"jobtitle": NEW_TITLE})
            self._line(f"In Dynamics the administrator makes {name} '{NEW_TITLE}' and adds a lead, Ada Lovelace")
            new = await dynamics.create("leads", NEW_LEAD)
            await heard(self._console, lambda: sync(TENANT))
            people = await marketo.people("dynamicsId", [key, new], ["dynamicsId", "title"])
        titles = {one["dynamicsId"]: one["title"] for one in people}
        self._expect(titles.get(key) == NEW_TITLE and new in titles, "the change arrived in Marketo")
        was = f"'{person['title']}'" if person["title"] else "empty"
        self._line(f"In Marketo {name}'s title was {was} and is '{titles[key]}'; Ada Lovelace is there")
        return "a changed and a new lead were in Marketo after one cycle"

    async def change_in_marketo(self) -> str:
        """A contact changed on both sides: each side's change arrives on the other, and the opt-out with them."""
        from flows.sync import sync

        async with self._box.administrator() as dynamics, self._box.marketo() as marketo:
            found = await marketo.people("msType", ["Contact"], ["id", "dynamicsId", "firstName", "lastName"])
            person = next(one for one in found if one["firstName"] and one["lastName"])
            name, key = f"{person['firstName']} {person['lastName']}", str(person["dynamicsId"])
            self._line(
                f"In Marketo {name} gets the phone number {NEW_PHONE} and unsubscribes; in Dynamics a new job title"
            )
            change = {"id": person["id"], "phone": NEW_PHONE, "unsubscribed": True}
            await marketo.sync_people([change], action="updateOnly", lookup_field="id")
            await dynamics.update("contacts", key, {"jobtitle": NEW_TITLE})
            await heard(self._console, lambda: sync(TENANT))
            contact = await dynamics.entity("contact")
            columns = ["telephone1", "donotbulkemail", "jobtitle"]
            [row] = await dynamics.read_by_ids(contact, columns, [key])
            [now] = await marketo.people("dynamicsId", [key], ["title", "phone", "unsubscribed"])
        there = (row["telephone1"], row["donotbulkemail"]) == (NEW_PHONE, True)
        self._expect(there and now["title"] == NEW_TITLE, "both sides' changes arrived")
        self._line(f"In Dynamics {name} has the number and is not to be mailed; in Marketo the title '{NEW_TITLE}'")
        return "changes of one person on both sides merged, and the opt-out reached Dynamics"

    async def delete_column(self) -> str:
        """A column that is synced vanishes: the next cycle parks it and goes on."""
        from flows.sync import sync

        async with self._box.administrator() as dynamics:
            await dynamics.delete_attribute("lead", DELETED_COLUMN)
        self._line(f"In Dynamics the administrator deletes the column {DELETED_COLUMN} of leads, which is synced")
        await heard(self._console, lambda: sync(TENANT))
        now = await self._status()
        parked = [field["attribute"] for field in now["parked_fields"]]
        self._expect(parked == [DELETED_COLUMN], "the cycle parked the column")
        self._expect(now["state"] == "syncing", "the tenant goes on syncing")
        self._mail("parked")
        return f"the deleted column {DELETED_COLUMN} was parked, and syncing went on"

    async def resync(self) -> str:
        """A review clears the parked field up."""
        from flows.resync import resync

        await heard(self._console, lambda: resync(TENANT))
        now = await self._status()
        self._expect(now["parked_fields"] == [], "the resync cleared the parked field up")
        self._expect(now["state"] == "syncing", "the tenant syncs again")
        self._mail("resync")
        return "resync cleared it up; its field in Marketo is kept"

    async def quiet_cycle(self) -> str:
        """Nothing changed, so nothing is written."""
        from flows.sync import sync

        report = await heard(self._console, lambda: sync(TENANT))
        self._expect(report.total.written == 0, "a cycle without changes writes nothing")
        return "a cycle without changes wrote nothing"

    def all(self) -> list[tuple[str, Callable[[], Any]]]:
        """The acts in order, each with its title."""
        return [
            ("Register the deployments", self.register),
            (f"Connect {TENANT}", self.connect),
            ("Change a lead in Dynamics, and add one", self.change),
            ("Change a contact on both sides", self.change_in_marketo),
            ("Delete a synced column in Dynamics", self.delete_column),
            ("Resync", self.resync),
            ("One more cycle", self.quiet_cycle),
        ]

    async def _why_not_synced(self) -> int:
        """How many sync errors there are: the sandbox's data have e-mail addresses that Marketo refuses, as every real
        organization has."""
        async with open_store() as store:
            found = await errors(store, TENANT)
        for reason, number in Counter(one["reason"] for one in found).items():
            self._line(f"Told by 'crmsync errors', each with its remedy: {number} × {reason}")
        return len(found)

    async def _status(self) -> dict[str, Any]:
        async with open_store() as store:
            return await status(store, TENANT)

    def _mail(self, about: str) -> None:
        path, message = self._box.newest_mail()
        self._expect(about in str(message["Subject"]), f"an e-mail about '{about}' arrived")
        self._line(f"It arrived: {path}")

    def _line(self, text: str) -> None:
        self._console.print(f"  [cyan]•[/] {escape(text)}")

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise RequestRefused(
                f"The demo did not show that {what}",
                remedy=f"This is a defect in crmsync: report it with what is in {self._box.folder}.",
            )
