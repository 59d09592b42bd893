"""The names behind lookups as they were sent, as fingerprints: a name that differs from it has changed since."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from crmsync.state.engine import SubStore
from crmsync.state.sql import among, of_entity, upsert
from crmsync.state.tables import lookup_names


class NameStore(SubStore):
    """Names of one database, by the ids of the teams or connection roles that have them."""

    async def known(self, tenant: str, entity: str, names: Mapping[str, bytes]) -> dict[str, bytes]:
        """What was sent for these ids, where anything was."""
        columns = sa.select(lookup_names.c.record_id, lookup_names.c.fingerprint)
        async with self._engine.connect() as connection:
            query = columns.where(
                of_entity(lookup_names, tenant, entity), among(connection, lookup_names.c.record_id, names)
            )
            return {row.record_id: row.fingerprint for row in await connection.execute(query)}

    async def keep(self, tenant: str, entity: str, names: Mapping[str, bytes], *, only_new: bool = False) -> None:
        """These are sent from now on; with ``only_new`` those that are known stay as they were sent first."""
        rows = [
            {"tenant": tenant, "entity": entity, "record_id": one, "fingerprint": mark} for one, mark in names.items()
        ]
        async with self._engine.begin() as connection:
            await upsert(connection, lookup_names, rows, keep=["fingerprint"] if only_new else [])
