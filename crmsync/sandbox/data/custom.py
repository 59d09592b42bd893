"""The organization's own columns: the sync filter, and one of every attribute type."""

from __future__ import annotations

from datetime import date
from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.draw import NEWEST, Draw, stamp
from crmsync.sandbox.dataverse import options as o

_INTERESTS = tuple(option.value for option in o.INTERESTS)
_SEGMENTS = tuple(option.value for option in o.SEGMENT)
_FIRST_DAY = date(1753, 1, 1)
_ODD_AMOUNTS = (0.0, 0.01, -12.5, 16777217.0, 123456789.12, 922337203685.47)


def custom_columns(draw: Draw, pools: p.Pools) -> dict[str, Any]:
    """Values for the custom columns of one record; most are sparse, as custom columns are."""
    filtered = draw.source.random()
    return {
        "new_synctomkto": True if filtered < 0.8 else False if filtered < 0.92 else None,
        "new_favouritecolour": draw.maybe(0.3, p.COLOURS),
        "new_billingemail": f"billing{draw.below(100000)}@example.org" if draw.chance(0.1) else None,
        "new_portal": draw.maybe(0.1, p.URLS),
        "new_hotline": draw.maybe(0.1, ("0800 000 0000", "*123#", "+49 (0)351/0", "ext. 007")),
        "new_directions": draw.one(pools.long_notes)[:600] if draw.chance(0.03) else None,
        "new_history": draw.one(pools.long_notes)[:10000] if draw.chance(0.01) else None,
        "new_visits": draw.below(500) if draw.chance(0.4) else None,
        "new_legacynumber": (1 << 53) + draw.below(1 << 60) if draw.chance(0.2) else None,
        "new_score": round(draw.source.uniform(-1000, 1000), 3) if draw.chance(0.3) else None,
        "new_distance": round(draw.source.uniform(0, 20000), 5) if draw.chance(0.1) else None,
        "new_budget": _budget(draw),
        "new_isvip": draw.chance(0.05) if draw.chance(0.7) else None,
        "new_renewalon": _renewal(draw),
        "new_lastcallon": stamp(draw.moment_before(NEWEST, 2000)) if draw.chance(0.3) else None,
        "new_eventstart": stamp(draw.moment_before(NEWEST, 400)) if draw.chance(0.1) else None,
        "new_segment": draw.maybe(0.5, _SEGMENTS),
        "new_interests": _interests(draw),
    }


def _budget(draw: Draw) -> float | None:
    if draw.chance(0.02):
        return draw.one(_ODD_AMOUNTS)
    return draw.amount(250_000) if draw.chance(0.3) else None


def _renewal(draw: Draw) -> str | None:
    if draw.chance(0.01):
        return draw.day(_FIRST_DAY, 53000)
    return draw.day(date(2024, 1, 1), 1500) if draw.chance(0.2) else None


def _interests(draw: Draw) -> str | None:
    """A multi-select column holds its values joined by commas, in ascending order."""
    if not draw.chance(0.35):
        return None
    chosen = draw.source.sample(_INTERESTS, 1 + draw.below(3))
    return ",".join(str(value) for value in sorted(chosen))
