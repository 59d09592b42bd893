"""What runs took away that have not ended well, and what is held."""

from __future__ import annotations

from datetime import UTC, datetime

from crmsync.state.brakes import Braked, Loss
from crmsync.state.store import Store
from crmsync.state.syncerrors import TO_MARKETO

T = "contoso"
SINCE = datetime(2024, 5, 1, tzinfo=UTC)
PHONE, GONE = Loss("lead", "clear", TO_MARKETO, "phone"), Loss("contact", "delete", TO_MARKETO)


async def test_what_was_done_adds_up_until_a_run_ends_well(store: Store) -> None:
    await store.brakes.add(T, {PHONE: 3, GONE: 2})
    await store.brakes.add(T, {PHONE: 4})
    await store.brakes.hold(T, [Braked(GONE, 0, SINCE, "flag 60 of 80 contacts")])
    await store.brakes.add(T, {GONE: 1})

    assert {one.loss: one for one in await store.brakes.all(T)} == {
        PHONE: Braked(PHONE, 7, None, None),
        GONE: Braked(GONE, 3, SINCE, "flag 60 of 80 contacts"),
    }

    await store.brakes.release(T, [], {PHONE: -7, GONE: -1})
    assert [(one.loss, one.written) for one in await store.brakes.all(T)] == [(GONE, 2)]
    await store.brakes.release(T, [GONE], {})
    assert await store.brakes.all(T) == []
