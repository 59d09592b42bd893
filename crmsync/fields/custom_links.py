"""How the records of a custom entity lead to the person or the company that they belong to.

A custom entity must relate to lead, contact or account at one or two levels, and of several ways the nearest is taken
("Enable Sync for a Custom Entity"). Of ways that are equally near, one to a person goes before one to a company, then a
required lookup before others; the tenant file may name another. An opportunity belongs to its customer, and so does
what belongs to the opportunity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.fields.model import CustomLink, Middle

PEOPLE = frozenset({"contact", "lead"})
COMPANY = "account"
_BELONGS_BY = {"opportunity": "customerid"}
_SYSTEM = frozenset(
    {"systemuser", "team", "owner", "businessunit", "transactioncurrency", "organization", "connection"}
)
"""Every table points to these; nobody belongs to anybody through them."""


def link_of(entity: Entity, beside: Mapping[str, Entity], wanted: str | None = None) -> CustomLink | None:
    """The way of this entity's records: the one that is ``wanted``, else the nearest; None where there is none."""
    found = links_of(entity, beside)
    if wanted is not None:
        return next((one for one in found if one.path == wanted), None)
    return found[0] if found else None


def links_of(entity: Entity, beside: Mapping[str, Entity]) -> list[CustomLink]:
    """All ways, the best first."""
    near = [link for _, link in sorted(_direct(entity), key=lambda one: one[0])]
    far = [link for _, link in sorted(_indirect(entity, beside), key=lambda one: one[0])]
    return near + far


def middles(entity: Entity) -> tuple[str, ...]:
    """The entities through which this one may lead to somebody."""
    found = {target for one in _lookups(entity) for target in one.targets}
    return tuple(sorted(found - _SYSTEM - PEOPLE - {COMPANY, entity.logical_name}))


def leading(entity: Entity) -> Entity:
    """The entity with its lookups to people and companies only, which is all that ``beside`` needs."""
    kept = {one.logical_name: one for one in _lookups(entity) if _leads_to(one)}
    return entity.model_copy(update={"attributes": kept})


Rank = tuple[bool, bool, bool, str]


def _direct(entity: Entity) -> Iterator[tuple[Rank, CustomLink]]:
    for one in _lookups(entity):
        if to := _leads_to(one):
            link = CustomLink(to=to, lookup=one.logical_name, target=one.targets[0])
            yield _rank(one, to, preferred=False), link


def _indirect(entity: Entity, beside: Mapping[str, Entity]) -> Iterator[tuple[tuple[Rank, str], CustomLink]]:
    for first in _lookups(entity):
        for name in sorted(set(first.targets) & set(middles(entity)) & beside.keys()):
            between = beside[name]
            for second in _lookups(between):
                if not (to := _leads_to(second)):
                    continue
                belongs = _BELONGS_BY.get(name) == second.logical_name
                middle = Middle(
                    entity=name,
                    entity_set_name=between.entity_set_name,
                    primary_id=between.primary_id,
                    lookup=second.logical_name,
                )
                link = CustomLink(
                    to="company" if belongs else to,
                    lookup=first.logical_name,
                    target=first.targets[0],
                    middle=middle,
                )
                yield (_rank(second, to, preferred=belongs), first.logical_name), link


def _rank(lookup: Attribute, to: str, *, preferred: bool) -> Rank:
    return not preferred, to != "person", lookup.required_level == "None", lookup.logical_name


def _leads_to(lookup: Attribute) -> Literal["person", "company"] | None:
    if PEOPLE & set(lookup.targets):
        return "person"
    return "company" if COMPANY in lookup.targets else None


def _lookups(entity: Entity) -> Iterator[Attribute]:
    for name in sorted(entity.attributes):
        one = entity.attributes[name]
        if one.is_lookup and one.readable and one.targets and one.type != "OwnerType":
            yield one
