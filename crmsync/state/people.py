"""The people behind records of leads and contacts: by Marketo's own ids, alive or with a tombstone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import sqlalchemy as sa

from crmsync.state.engine import SubStore
from crmsync.state.pending import PEOPLE
from crmsync.state.records import DEAD, Known
from crmsync.state.sql import among, among_numbers, of_entity
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, forget_errors
from crmsync.state.tables import records


class PeopleStore(SubStore):
    """What the ledger knows of people in Marketo. Every method is one transaction."""

    async def by_marketo_id(
        self, tenant: str, entities: Iterable[str], ids: Iterable[int]
    ) -> dict[int, tuple[str, str, Known]]:
        """The record behind each of these people: entity, id, what is known. Of several, the one that is alive."""
        columns = [
            records.c.marketo_id,
            records.c.entity,
            records.c.record_id,
            *(records.c[name] for name in Known._fields),
        ]
        found: dict[int, tuple[str, str, Known]] = {}
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                records.c.tenant == tenant,
                records.c.entity.in_(list(entities)),
                among_numbers(connection, records.c.marketo_id, ids),
            )
            for number, entity, record_id, *rest in await connection.execute(query):
                known = Known(*rest)
                if number not in found or known.status not in DEAD:
                    found[number] = (entity, record_id, known)
        return found

    async def elsewhere(self, tenant: str, entity: str, ids: Iterable[str]) -> set[str]:
        """Those of these ids under which a record of the other entity of people has its person in Marketo, or may."""
        holds = sa.or_(
            sa.and_(records.c.in_marketo.is_(True), records.c.status != "deleted"), records.c.status == "unknown"
        )
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id).where(
                records.c.tenant == tenant,
                records.c.entity.in_([one for one in PEOPLE if one != entity]),
                among(connection, records.c.record_id, ids),
                holds,
            )
            return set(await connection.scalars(query))

    async def without_marketo_id(self, tenant: str, entity: str, *, limit: int) -> list[str]:
        """People that are in Marketo under an id that nobody has told yet: bulk imports tell none."""
        query = sa.select(records.c.record_id).where(
            of_entity(records, tenant, entity),
            records.c.marketo_id.is_(None),
            records.c.in_marketo.is_(True),
            records.c.status.not_in(DEAD),
        )
        # Their order makes PostgreSQL take the index of these few, also where its figures are of a first sync, when
        # nobody had a number.
        query = query.order_by(records.c.record_id).limit(limit)
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def bury(self, tenant: str, entity: str, ids: Sequence[str], status: Literal["gone", "merged"]) -> None:
        """The people of these records are no more in Marketo: a tombstone keeps them from being created again.

        Fingerprints stay, should the person turn up again under another id.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(
                    of_entity(records, tenant, entity),
                    among(connection, records.c.record_id, ids),
                    records.c.status.not_in(["deleted", "merged", "converted"]),
                )
                .values(status=status, in_marketo=False, waiting_owner=None, waiting_company=None)
            )
            for direction in (TO_MARKETO, TO_DYNAMICS):
                await forget_errors(connection, tenant, entity, ids, direction=direction)

    async def revive(self, tenant: str, entity: str, record_id: str, marketo_id: int) -> None:
        """The record's person goes on under another id: it was merged into one that had no record."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(of_entity(records, tenant, entity), records.c.record_id == record_id)
                .values(
                    marketo_id=marketo_id,
                    in_marketo=True,
                    status=sa.case((records.c.status.in_(["gone", "merged"]), "synced"), else_=records.c.status),
                )
            )
