"""A cycle goes round its lanes: a page of each entity in turn, both directions, until no lane is behind.

A mass update of one entity is many pages. Before each of them every lane that is not behind has its turn, with what
changed since its last one, so that nothing waits longer than for a page of each lane that is. A lane that is behind
spends the budget of calls patiently: the others always find room in it. Of what happened in Marketo a round reads some
pages, too; before people are written it looks at what may have happened to them since.

Whatever the lanes hold, a round is what a small cycle is: both sides are read before anything is written, parents are
written before what names them (or brought by it, where they are behind), and no two lanes write at the same time
(invariant 2). Between two rounds the state is that between two cycles, but for a next link in the checkpoint of a lane
that is behind.

Order of a cycle: Adobe's white paper on CRM synchronization.
"""

from __future__ import annotations

from crmsync.engine.datapath import DataPath
from crmsync.engine.lane import PAGE_SIZE
from crmsync.marketo.quota import patiently


async def take_turns(path: DataPath) -> None:
    """Go round until every lane is at its end."""
    while True:
        behind = [name for name in path.entities if name in path.behind]
        await path.collect(most=PAGE_SIZE)
        for name in path.entities:
            if name not in behind:
                await path.turn(name)
        await path.finish()
        await path.write_back(most=PAGE_SIZE)
        with patiently():
            for name in behind:
                await path.turn(name)
        if not (behind or path.behind or path.from_marketo.is_behind):
            return
        await path.look_again()
