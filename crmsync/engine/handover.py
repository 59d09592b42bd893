"""Settles who continues whom, after leads and contacts were carried: who is the heir, and whether it is synced at all.

The heir's sync filter decides: a merged record's person waits, as it is, for a winner that is kept out, and a lead goes
on as itself beside a contact that is. Where the heir is synced the people are united (``crmsync.engine.uniting``), and
only then is it written like every other record: company first, then the link to it, the owner, the contact's fields.

"Microsoft Dynamics Sync Filter: Qualify" and "... Merge" (Marketo's documents); "Lead conversion" (Adobe's white paper
on CRM synchronization).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.absence import Absence
from crmsync.engine.back.fields import PersonFields
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.lane import Lane
from crmsync.engine.session import Session
from crmsync.engine.succession import PEOPLE, Predecessor, Succession, contact_of, master_of, person_of, tombstone
from crmsync.engine.uniting import Inheritance, Key, Row, Uniting
from crmsync.fields.model import SYNC_FLAG, Selection
from crmsync.fields.sync_filter import keeps_out
from crmsync.state.succession import LONGEST_CHAIN

BATCH = 300


class Handover:
    """Settles what ``Succession`` put aside. ``lane`` gives an entity's way to Marketo, with the number of its
    last reading."""

    def __init__(
        self,
        session: Session,
        shape: tuple[DynamicsSchema, Selection],
        carried: Collection[str],
        lane: Callable[[str], Awaitable[tuple[Lane, int]]],
        prove: Prove = proves_nothing,
    ) -> None:
        self._prove = prove
        self._session = session
        self._schema, self._selection = shape
        self._lane = lane
        self._succession = Succession(session, carried)
        self._fields = {
            name: PersonFields(self._schema.entities[name], self._selection) for name in PEOPLE if name in carried
        }
        self._uniting = Uniting(session, self._fields)
        self._absence = Absence(session)

    async def run(self) -> None:
        """Work on everything that is marked; what the brake holds stays so."""
        for name in self._fields:
            pending, tenant = self._session.store.pending, self._session.name
            after = ""
            while some := await pending.first(tenant, name, "heir", limit=BATCH, after=after):
                after = some[-1]
                self._uniting.is_held = False
                await self._settle(name, some)
                if not self._uniting.is_held:
                    await pending.done(tenant, name, "heir", some)

    async def _settle(self, name: str, ids: Sequence[str]) -> None:
        rows = await self._rows(name, ids)
        inheritances, own = await self._inheritances(name, ids, rows)
        to_write: dict[str, set[str]] = {name: own}
        wanted: list[Inheritance] = []
        for one in inheritances:
            if one.row is None or keeps_out(self._schema.entities[one.entity], one.row):
                await self._wait(one)
            else:
                to_write.setdefault(one.entity, set()).add(one.heir)
                wanted.append(one)
        whole = await self._uniting.unite(wanted)
        named = {one: contact for one, row in rows.items() if (contact := contact_of(name, row)) is not None}
        await self._session.store.succession.named(self._session.name, named)
        for entity, some in to_write.items():
            lane, read_number = await self._lane(entity)
            heirs = {one for one in some if (entity, one) in whole}
            await lane.again(sorted(heirs), read_number, mode="whole", settled=True)
            await lane.again(sorted(some - heirs), read_number, settled=True)
            if entity == name:
                await lane.left_out(len(rows) - len(own))

    # Who and whom

    async def _inheritances(
        self, name: str, ids: Sequence[str], rows: Mapping[str, Row]
    ) -> tuple[list[Inheritance], set[str]]:
        """Every heir that these records concern; and those of the records that go on, or may, as themselves."""
        known = await self._session.store.records.known(self._session.name, name, ids)
        named: list[tuple[Key, Predecessor]] = []
        definition = self._schema.entities[name]
        for one, row in rows.items():
            if (master := master_of(row)) is not None:
                named.append(((name, master), Predecessor(name, one, known.get(one))))
            elif (contact := contact_of(name, row)) is not None and not keeps_out(definition, row):
                named.append((("contact", contact), Predecessor(name, one, known.get(one))))
        own = {one for one, row in rows.items() if master_of(row) is None}
        inherits = await self._succession.predecessors(name, {one: rows[one] for one in own})
        named += [((name, heir), one) for heir, some in inherits.items() for one in some]
        named = [(key, one) for key, one in named if person_of(one.known) != "settled"]
        finals = await self._finals({key for key, _ in named}, {(name, one): row for one, row in rows.items()})
        found: dict[Key, Inheritance] = {}
        for key, predecessor in named:
            (entity, heir), heirs_row = finals[key]
            mine = found.setdefault((entity, heir), Inheritance(entity, heir, heirs_row))
            if predecessor.record_id not in {heir, *(other.record_id for other in mine.of)}:
                mine.of.append(predecessor)
        return list(found.values()), own

    async def _finals(self, keys: set[Key], rows: dict[Key, Row]) -> dict[Key, tuple[Key, Row | None]]:
        """Each heir as it is, or the heir's own heir: the one that nobody continues, with its row."""
        store, tenant = self._session.store, self._session.name
        finals = {key: key for key in keys}
        for _ in range(LONGEST_CHAIN):
            further = await store.succession.heirs(tenant, {one for _, one in finals.values()})
            contacts = await store.records.known(tenant, "contact", sorted(set(further.values())))
            for key, (entity, one) in finals.items():
                if one in further:
                    finals[key] = ("contact" if further[one] in contacts else entity), further[one]
            for entity in PEOPLE:
                missing = [one for kind, one in finals.values() if kind == entity and (kind, one) not in rows]
                rows |= {(entity, one): row for one, row in (await self._rows(entity, missing)).items()}
            masters = {key: master for key, at in finals.items() if at in rows and (master := master_of(rows[at]))}
            for key, master in masters.items():
                finals[key] = finals[key][0], master
            if not masters:
                break
        return {key: (at, rows.get(at)) for key, at in finals.items()}

    async def _rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        """Those of these records that exist; raises ``PermissionMissing`` where one may only be out of sight."""
        if name not in self._fields or not ids:
            return {}
        entity = self._fields[name].entity
        rows = await self._session.dynamics.read_by_ids(entity, self._selection.select(entity), ids)
        found = {str(row[entity.primary_id]).lower(): row for row in rows}
        await self._absence.gone(entity, [one for one in ids if one not in found])
        if SYNC_FLAG in entity.attributes and rows and all(row.get(SYNC_FLAG) is None for row in rows):
            await self._prove(name)  # people are united for good
        return found

    async def _wait(self, one: Inheritance) -> None:
        """The heir is not synced: a merged record's person stays as it is until the heir is, a lead goes on."""
        store, tenant = self._session.store, self._session.name
        heir = one.heir if one.row is not None else None
        await store.succession.land(
            tenant,
            [
                tombstone(each, one.entity, one.heir)
                if person_of(each.known) == "nobody"
                else tombstone(each, one.entity, one.heir)._replace(heir=heir, in_marketo=True)
                for each in one.of
                if each.entity == one.entity
            ],
        )
        if heir is not None:
            leads = {each.record_id: heir for each in one.of if each.entity != one.entity}
            await store.succession.expect(tenant, "lead", leads)
