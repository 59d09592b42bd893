"""Fills a new organization: from the seed, or from a folder of CSV files."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from crmsync.sandbox.data.companies import Companies
from crmsync.sandbox.data.csvdata import read_folder
from crmsync.sandbox.data.custom_rows import OrderLines, Registrations
from crmsync.sandbox.data.owners import Owners
from crmsync.sandbox.data.people import People
from crmsync.sandbox.data.pools import Pools, make_pools
from crmsync.sandbox.data.sales import Connections, Opportunities
from crmsync.sandbox.dataverse.seed import FILTER_COLUMN
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.world import SandboxTenant

Progress = Callable[[str, str, int, int | None], None]
"""Told the tenant, the entity, how many of its records are made, and how many there will be (if known)."""

_CHUNK = 5_000


def fill(tenant: SandboxTenant, options: SandboxOptions, progress: Progress | None = None) -> None:
    """Fill the tenant's organization, unless a kept folder says that it is full already."""
    database = tenant.organization.database
    mark = Path(f"{database}.filled")
    if mark.exists():
        return
    for leftover in database.parent.glob(f"{database.name}*"):
        leftover.unlink()
    store = DataverseStore(tenant.organization)
    try:
        with _without_garbage_collection():
            if options.data is not None:
                for entity, rows in read_folder(options.data, store):
                    insert(store, entity, rows, _told(progress, tenant.name, entity, None))
            else:
                _make_data(store, tenant, options, progress)
    finally:
        store.close()
    mark.touch()


def _make_data(
    store: DataverseStore, tenant: SandboxTenant, options: SandboxOptions, progress: Progress | None
) -> None:
    world, counts = f"{options.seed}/{tenant.name}", options.counts
    for entity, total, rows in make_records(world, options.seed, counts, store, f"{tenant.name}.example"):
        given = rows if tenant.organization.prepared else map(_without_filter, rows)
        insert(store, entity, given, _told(progress, tenant.name, entity, total))


def _without_filter(row: dict[str, Any]) -> dict[str, Any]:
    """A record of an organization that has no filter columns yet."""
    return {name: value for name, value in row.items() if name != FILTER_COLUMN}


def make_records(
    world: str, seed: int, counts: Counts, store: DataverseStore, domain: str
) -> Iterator[tuple[str, int, Iterable[dict[str, Any]]]]:
    """Entity, number of records, and the records, in an order in which every lookup's target comes first."""
    pools = make_pools(seed)
    owners = Owners(world, pools)
    users = owners.users(domain, store.ids.business_unit)
    yield "team", 1, [owners.team(store.ids.business_unit)]
    yield "systemuser", len(users), users
    yield "account", counts.accounts, map(Companies(world, pools, owners).make, range(counts.accounts))
    contacts = People(world, "contact", pools, owners, counts.accounts)
    yield "contact", counts.contacts, map(contacts.make, range(counts.contacts))
    yield "lead", counts.leads, map(People(world, "lead", pools, owners).make, range(counts.leads))
    yield from _sales_records(world, pools, owners, counts)


def _sales_records(
    world: str, pools: Pools, owners: Owners, counts: Counts
) -> Iterator[tuple[str, int, Iterable[dict[str, Any]]]]:
    """Opportunities, connections and the rows of the custom tables, each drawn from lots of their own."""
    many = counts.others
    opportunities = many["opportunity"]
    make = Opportunities(world, pools, owners, counts.accounts, counts.contacts).make
    yield "opportunity", opportunities, map(make, range(opportunities))
    connections = Connections(world, owners, opportunities, counts.contacts)
    pairs = connections.pairs(many["connection"])
    yield "connection", 2 * pairs, connections.rows(pairs)
    make = Registrations(world, pools, owners, counts.contacts).make
    yield "new_eventregistration", many["new_eventregistration"], map(make, range(many["new_eventregistration"]))
    make = OrderLines(world, owners, opportunities).make
    yield "new_orderline", many["new_orderline"], map(make, range(many["new_orderline"]))


def insert(store: DataverseStore, entity: str, rows: Iterable[Mapping[str, Any]], told: Callable[[int], None]) -> int:
    """Insert the rows chunk by chunk, so that neither memory nor a transaction grows with their number."""
    remaining, done = iter(rows), 0
    while chunk := list(islice(remaining, _CHUNK)):
        store.insert_many(entity, chunk)
        done += len(chunk)
        told(done)
    return done


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Rows hold no cycles; looking for some costs a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _told(progress: Progress | None, tenant: str, entity: str, total: int | None) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if progress is not None:
            progress(tenant, entity, done, total)

    return tell
