"""What Marketo made of a value that it stores in its own way: cut, trimmed, rounded.

Both are kept as fingerprints: of the value that was sent, which both sides agree on, and of the form in which Marketo
holds it. Only the fields stand here that Marketo was seen to store in another form; it counts only as long as the value
that was sent is the one that is agreed on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from crmsync.state.engine import SubStore
from crmsync.state.sql import among, now, of_entity, upsert
from crmsync.state.tables import own_forms


class Form(NamedTuple):
    """The fingerprints of a value as it was sent, and as Marketo stored it."""

    sent: bytes
    stored: bytes


Forms = Mapping[str, Form]
"""A record's, by field."""


class FormStore(SubStore):
    """The own forms of one database. Every method is one transaction."""

    async def of(self, tenant: str, entity: str, ids: Iterable[str]) -> Mapping[str, Forms]:
        """Those of these records; of one that has none, nothing."""
        found: dict[str, dict[str, Form]] = defaultdict(dict)
        columns = (own_forms.c.record_id, own_forms.c.field, own_forms.c.sent, own_forms.c.stored)
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                of_entity(own_forms, tenant, entity), among(connection, own_forms.c.record_id, ids)
            )
            for record_id, field, sent, stored in await connection.execute(query):
                found[record_id][field] = Form(sent, stored)
        return found

    async def put(self, tenant: str, entity: str, found: Mapping[str, Mapping[str, Form | None]]) -> None:
        """Note these; None for a field that Marketo holds as it was sent."""
        rows = [
            {"tenant": tenant, "entity": entity, "record_id": record_id, "field": field,
             "sent": form.sent, "stored": form.stored, "since": now()}
            for record_id, forms in found.items()
            for field, form in forms.items()
            if form is not None
        ]  # fmt: skip
        async with self._engine.begin() as connection:
            mine = sa.and_(of_entity(own_forms, tenant, entity), among(connection, own_forms.c.record_id, found))
            query = sa.select(own_forms.c.record_id, own_forms.c.field).where(mine)
            there = [tuple(row) for row in await connection.execute(query)]
            plain = [
                {"key": record_id, "name": field}
                for record_id, field in there
                if field in found[record_id] and found[record_id][field] is None
            ]
            if plain:
                statement = sa.delete(own_forms).where(
                    of_entity(own_forms, tenant, entity),
                    own_forms.c.record_id == sa.bindparam("key"),
                    own_forms.c.field == sa.bindparam("name"),
                )
                await connection.execute(statement, plain)
            await upsert(connection, own_forms, rows, keep=["since"])

    async def counts(self, tenant: str) -> list[tuple[str, str, int]]:
        """Entity, field, and of how many records Marketo holds it in a form of its own."""
        query = (
            sa.select(own_forms.c.entity, own_forms.c.field, sa.func.count())
            .where(own_forms.c.tenant == tenant)
            .group_by(own_forms.c.entity, own_forms.c.field)
            .order_by(own_forms.c.entity, own_forms.c.field)
        )
        async with self._engine.connect() as connection:
            return [(entity, field, int(count)) for entity, field, count in await connection.execute(query)]
