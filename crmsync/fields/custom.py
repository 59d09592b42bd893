"""What a custom entity becomes in Marketo: a custom object that hangs on a person or a company.

The object is keyed by the record's Dynamics id and linked to the person by ``dynamicsId``, or to the company by its id
in Marketo, which is the one link to companies that Adobe calls reliable ("Understanding Marketo Custom Objects"). A
type takes one such link, 50 fields, 20 more after it was approved, and a subscription 10 types ("Custom Objects").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal

from crmsync.dynamics.schema import Attribute, DynamicsSchema, Entity
from crmsync.errors import TenantFileWrong
from crmsync.fields.columns import custom_columns
from crmsync.fields.custom_links import link_of, links_of
from crmsync.fields.model import KEY_FIELDS, CustomLink, CustomObject, Mapping, NotMapped, Selection
from crmsync.fields.naming import DisplayNames, display_name
from crmsync.fields.typemap import Fit, of_object, why_unmapped
from crmsync.marketo.schema import CustomObjects, CustomObjectType, MarketoSchema, NewCustomObject, NewObjectField
from crmsync.tenants import CustomEntity

NAME_LENGTH = 33
MOST_TYPES = 10
MOST_FIELDS = 50
MOST_ADDED = 20
KEY = KEY_FIELDS["custom_object"]
LINK_FIELDS: dict[str, str] = {"person": "linkToPerson", "company": "linkToCompany"}
LINKED_TO: dict[str, tuple[str, str]] = {"person": ("lead", KEY_FIELDS["person"]), "company": ("company", "id")}
"""The object and the field that a link leads to."""

_LINK_NAMES: dict[str, str] = {"person": "Linked Person", "company": "Linked Company"}
_RESERVED = {name.lower() for name in ("marketoGUID", "createdAt", "updatedAt", "lead", "company", KEY)}
_NO_WAY = "it leads to no lead, contact or account at one or two levels, and a custom object has to belong to somebody"


def with_custom_entities(
    selection: Selection,
    dynamics: DynamicsSchema,
    marketo: MarketoSchema,
    wanted: Sequence[CustomEntity],
    *,
    zone: str | None = None,
) -> Selection:
    """The selection with the custom entities that can be synced; the others are left out, with the reason."""
    chosen = [_Chosen(one, dynamics, marketo, zone) for one in wanted if one.entity in dynamics.entities]
    names = DisplayNames(one.display_name for one in (marketo.custom_objects or CustomObjects()).types.values())
    for one in chosen:
        one.choose(names)
    _leave_beyond_limit([one for one in chosen if one.is_new], marketo)
    carried = sorted((one for one in chosen if one.made is not None), key=lambda one: one.is_far)
    return selection.model_copy(
        update={
            "mappings": selection.mappings | {one.name: tuple(one.mappings) for one in carried},
            "custom_objects": {one.name: one.made for one in carried if one.made is not None},
            "not_mapped": (*selection.not_mapped, *(left for one in carried for left in one.not_mapped)),
            "left_out": selection.left_out | {one.name: one.why_not for one in chosen if one.why_not},
        }
    )


def api_name(name: str) -> str:
    """A logical name as Marketo takes it: a long one is cut, and told apart by a digest."""
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=2).hexdigest()
    return f"{name[: NAME_LENGTH - len(digest) - 1]}_{digest}"


def _leave_beyond_limit(new: Sequence[_Chosen], marketo: MarketoSchema) -> None:
    there = len(marketo.custom_objects.types) if marketo.custom_objects else 0
    for one in new[max(0, MOST_TYPES - there) :]:
        one.leave_out(f"a subscription takes {MOST_TYPES} custom object types, and {there} are there already")


class _Chosen:
    """One custom entity: its way to people, its custom object, its fields, or why it is left out."""

    def __init__(
        self, wanted: CustomEntity, dynamics: DynamicsSchema, marketo: MarketoSchema, zone: str | None
    ) -> None:
        self._zone = zone
        self._wanted = wanted
        self._entity: Entity = dynamics.entities[wanted.entity]
        self._dynamics = dynamics
        self._marketo = marketo
        self.name = wanted.entity
        self.made: CustomObject | None = None
        self.mappings: list[Mapping] = []
        self.not_mapped: list[NotMapped] = []
        self.why_not: str | None = None

    @property
    def is_new(self) -> bool:
        return self.made is not None and self._there() is None

    @property
    def is_far(self) -> bool:
        return self.made is not None and self.made.link.middle is not None

    def leave_out(self, why: str) -> None:
        self.made, self.why_not = None, why

    def choose(self, names: DisplayNames) -> None:
        """Decide what it becomes, or why it is left out."""
        check_columns(self._entity, self._wanted)
        link = link_of(self._entity, self._beside, self._wanted.link)
        there = self._there()
        if (why := self._marketo.left_out.get("custom_object")) is not None:
            self.leave_out(why)
        elif link is None:
            self.leave_out(self._no_such_way() if self._wanted.link else _NO_WAY)
        elif there is not None and (why := self._not_ours(there, link)) is not None:
            self.leave_out(why)
        else:
            self._fill(link, there, names)

    @property
    def _beside(self) -> dict[str, Entity]:
        return self._dynamics.beside | self._dynamics.entities

    def _there(self) -> CustomObjectType | None:
        types = self._marketo.custom_objects.types if self._marketo.custom_objects else {}
        return types.get(self._api_name.lower())

    @property
    def _api_name(self) -> str:
        return self._wanted.name or api_name(self.name)

    def _no_such_way(self) -> str:
        ways = [one.path for one in links_of(self._entity, self._beside)]
        return (
            f"'link: {self._wanted.link}' leads to no lead, contact or account; there is: {', '.join(ways) or 'none'}"
        )

    def _not_ours(self, there: CustomObjectType, link: CustomLink) -> str | None:
        """Why a type that is there already cannot be written; one that crmsync made can."""
        rename = "give this one another 'name' under 'custom_entities'"
        if there.dedupe_fields != (KEY,) and (there.is_approved or there.dedupe_fields):
            return f"Marketo has a custom object {there.name} whose dedupe field is not {KEY}: {rename}"
        if there.is_approved and there.links.get(LINK_FIELDS[link.to]) not in self._ends(link.to):
            return (
                f"Marketo's custom object {there.name} is not linked to {link.to}s by {LINK_FIELDS[link.to]}, which "
                f"cannot be added once it was approved: {rename}"
            )
        return None

    def _ends(self, to: Literal["person", "company"]) -> set[tuple[str, str]]:
        parent, field = LINKED_TO[to]
        known = (self._marketo.person if to == "person" else self._marketo.company).fields.get(field)
        return {(parent, field.lower())} | ({(parent, known.display_name.lower())} if known else set())

    def _fill(self, link: CustomLink, there: CustomObjectType | None, names: DisplayNames) -> None:
        label = display_name(self._entity.display_name, self.name).replace("-", " ")
        own = DisplayNames(one.display_name for one in there.fields.values()) if there else DisplayNames(())
        new: list[NewObjectField] = []
        fixed = (
            (KEY, "Dynamics Id", "string", "guid", self._entity.primary_id, None),
            (LINK_FIELDS[link.to], _LINK_NAMES[link.to], "link", "link", link.lookup, LINKED_TO[link.to]),
        )
        for field, shown, data_type, convert, attribute, related in fixed:
            if there is None or field not in there.fields:
                made = NewObjectField(name=field, display_name=own.unique(shown), data_type=data_type)
                new.append(made.model_copy(update={"is_dedupe": field == KEY, "related": related}))
            fit = Fit(data_type, "guid" if convert == "guid" else "link", self._lost_on_the_way(link, field))
            self.mappings.append(self._mapping(attribute, field, fit))
        for column in custom_columns(self._entity, frozenset(self._wanted.include), frozenset(self._wanted.exclude)):
            if isinstance(column, NotMapped):
                self.not_mapped.append(column)
            elif column.logical_name == link.lookup and link.middle is None and link.to == "person":
                self._leave(column, f"{LINK_FIELDS[link.to]} holds the same id")
            else:
                self._column(column, there, own, new)
        make = None
        if new or (there is not None and not there.is_approved):
            shown = there.display_name if there else names.unique(label)
            make = NewCustomObject(name=self._api_name, display_name=shown, plural_name=f"{shown}s", fields=tuple(new))
        self.made = CustomObject(name=self._api_name, link=link, link_field=LINK_FIELDS[link.to], make=make)

    def _lost_on_the_way(self, link: CustomLink, field: str) -> str | None:
        if field == KEY or link.middle is None or link.middle.entity in self._dynamics.entities:
            return None
        return f"{link.middle.entity} is not synced: its records' changes are noticed when this one changes"

    def _column(
        self, column: Attribute, there: CustomObjectType | None, own: DisplayNames, new: list[NewObjectField]
    ) -> None:
        name = self._field_name(column.logical_name)
        found = there.fields.get(name) if there else None
        fit = of_object(column, found.data_type if found else None, zone=self._zone)
        if fit is None:
            self._leave(column, f"Marketo's field {name} is {found.data_type}, which cannot hold {column.kind} values"
                        if found else why_unmapped(column))  # fmt: skip
            return
        if found is None:
            if why := self._no_room(there, new):
                self._leave(column, why)
                return
            shown = display_name(column.display_name, column.logical_name).replace("-", " ")
            new.append(NewObjectField(name=name, display_name=own.unique(shown), data_type=fit.data_type))
        self.mappings.append(self._mapping(column.logical_name, name, fit))

    def _no_room(self, there: CustomObjectType | None, new: Sequence[NewObjectField]) -> str | None:
        before = len([name for name in there.fields if name.lower() not in _RESERVED - {KEY.lower()}]) if there else 0
        if before + len(new) >= MOST_FIELDS:
            return f"a custom object takes {MOST_FIELDS} fields: exclude columns that you need less"
        if there is not None and there.is_approved and len(new) >= MOST_ADDED:
            return f"an approved custom object takes {MOST_ADDED} more fields"
        return None

    def _field_name(self, logical_name: str) -> str:
        name = api_name(logical_name)
        taken = name.lower() in _RESERVED | {one.lower() for one in LINK_FIELDS.values()}
        return f"{name}_" if taken else name

    def _mapping(self, attribute: str, field: str, fit: Fit) -> Mapping:
        return Mapping(
            entity=self.name,
            attribute=attribute,
            target="custom_object",
            field=field,
            data_type=fit.data_type,
            convert=fit.convert,
            standard=False,
            lossy=fit.lossy,
            max_length=fit.max_length,
            zone=fit.zone,
        )

    def _leave(self, column: Attribute, reason: str) -> None:
        self.not_mapped.append(NotMapped(entity=self.name, attribute=column.logical_name, reason=reason))


def check_columns(entity: Entity, wanted: CustomEntity) -> None:
    """Raise ``TenantFileWrong`` when the tenant file names columns that do not exist."""
    named = {*wanted.include, *wanted.exclude}
    problems = []
    for name in sorted(named - entity.attributes.keys()):
        close = get_close_matches(name, sorted(entity.attributes), n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        problems.append(f"{wanted.entity} has no column '{name}'{hint}")
    if entity.primary_id in named:
        problems.append(f"{wanted.entity} column '{entity.primary_id}' is its key, which is always synced")
    if problems:
        raise TenantFileWrong(
            "The tenant file's custom entities cannot be used:\n" + "\n".join(f"- {one}" for one in problems),
            remedy="Correct these under 'custom_entities:' in the tenant file; columns go by their logical names.",
        )
