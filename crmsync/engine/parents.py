"""What becomes of records whose owner, company or person Marketo denies, though the ledger has it there.

Somebody has tidied up. The service is believed: the parent is made anew, and the record sent again in the same run. A
parent that cannot be made, because it is kept out or gone from Dynamics too, is waited for as in every plan: the
record goes on without the link, so that nothing else of it, an opt-out least of all, waits with it.

"Error Codes" (Marketo REST API): 1013, 718; "Custom Objects": 1004 for a link to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine.links import COMPANY_LINK, OWNER_LINK, Links
from crmsync.engine.plan import Change, without_company, without_owner
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import find_people, put_keys_back
from crmsync.fields.custom_links import COMPANY
from crmsync.fields.model import CustomObject
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.pending import PEOPLE

NOT_FOUND, NO_OWNER, NO_LEAD = "1013", "718", "1004"


class Parents:
    """Makes the parents of one entity's records anew, for one run."""

    def __init__(self, session: Session, entity: str, links: Links, custom: CustomObject | None = None) -> None:
        self._session = session
        self._entity = entity
        self._links = links
        self._custom = custom

    def may_be_denied(self, change: Change, answer: Answer) -> bool:
        """Whether the record was refused for something that it names."""
        if self._custom is not None:
            return answer.code in (NOT_FOUND, NO_LEAD) and bool(change.payload.get(self._custom.link_field))
        names = change.sent.get(OWNER_LINK) or change.sent.get(COMPANY_LINK)
        return answer.code in (NOT_FOUND, NO_OWNER) and bool(names)

    async def make_anew(self, changes: Sequence[Change]) -> None:
        """See that what these records name is there, or let them go on without it; then they are to be sent again."""
        if self._custom is not None:
            await self._of_custom(changes, self._custom)
            return
        owners = {one for change in changes if (one := change.sent.get(OWNER_LINK))}
        there = await self._links.made_anew("systemuser", owners) if owners else set()
        for change in changes:
            if (one := change.sent.get(OWNER_LINK)) and one not in there:
                without_owner(change)
        companies = {one for change in changes if (one := change.sent.get(COMPANY_LINK))}
        there = await self._links.made_anew("account", companies) if companies else set()
        for change in changes:
            if (one := change.sent.get(COMPANY_LINK)) and one not in there:
                without_company(change, may_leave=self._entity == "opportunity")

    async def _of_custom(self, changes: Sequence[Change], custom: CustomObject) -> None:
        store, tenant = self._session.store, self._session.name
        targets = {change.parent_id for change in changes if change.parent_id}
        if custom.link.to == "person":
            for entity in PEOPLE:
                known = await store.records.known(tenant, entity, sorted(targets))
                there = {one: row.marketo_id for one, row in known.items() if row.in_marketo}
                people = await find_people(self._session, there) if there else {}
                await put_keys_back(self._session, {one: int(rows[0]["id"]) for one, rows in people.items()})
                await store.people.bury(tenant, entity, sorted(there.keys() - people.keys()), "gone")
            return
        await self._links.made_anew(COMPANY, targets)
        known = await store.records.known(tenant, COMPANY, sorted(targets))
        numbers = {one: row.marketo_id for one, row in known.items() if row.in_marketo}
        for change in changes:
            number = numbers.get(change.parent_id or "")
            if number is not None or change.in_marketo:
                change.payload[custom.link_field] = number  # a new one waits instead
