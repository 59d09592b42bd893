"""Which column goes to which Marketo field: decided from both schemas and the tenant's choice, without writing.

That person fields can be created over the API (100 of them, and none ever deleted) but company and sales person
fields cannot, is from "Lead fields", "Companies" and "Sales persons" (Marketo REST API).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.errors import FeatureMissing, FieldBudgetExceeded, NativeSyncOn
from crmsync.fields.catalogue import DefaultMap, DerivedField, SystemField, default_map
from crmsync.fields.columns import HIDDEN, Wanted, columns
from crmsync.fields.custom import with_custom_entities
from crmsync.fields.model import FIELD_LENGTH, KEY_FIELDS, LINK_FIELDS, Mapping, NotMapped, Selection, WorksheetRow
from crmsync.fields.naming import DisplayNames, check_choice
from crmsync.fields.typemap import Fit, fitting, keeps_midnights, preferred, why_unmapped
from crmsync.marketo.schema import CREATABLE_TYPES, CREATION_LIMIT, Field, MarketoSchema, NewPersonField, Target
from crmsync.tenants import ENTITIES, CustomEntity, FieldChoice, MappedName

SHOWN = 12

_MADE_BY_HAND: dict[Target, Literal["person", "company", "opportunity"]] = {
    "company": "company",
    "opportunity": "opportunity",
}
"""Objects whose fields only an administrator can make."""


def select_fields(
    dynamics: DynamicsSchema, marketo: MarketoSchema, choice: FieldChoice, custom: Sequence[CustomEntity] = ()
) -> Selection:
    """What would be synced, and what has to be made in Marketo first; ``custom`` are entities for custom objects.

    Raises ``TenantFileWrong`` for a choice that cannot be, ``FieldBudgetExceeded`` for more new fields than Marketo
    lets the API make, ``NativeSyncOn`` when a field belongs to Marketo's own sync, and ``FeatureMissing`` when a
    field of crmsync's own is there but of no use.
    """
    default = default_map()
    check_choice(choice, dynamics, default)
    chooser = _Chooser(dynamics, marketo, default, choice.time_zone)
    for name in ENTITIES:
        if name != "connection" and name in dynamics.entities and name not in marketo.left_out:
            chooser.add(name, choice)
    selection = chooser.selection()
    _check_budget(selection, marketo)
    return with_custom_entities(selection, dynamics, marketo, custom, zone=choice.time_zone)


class _Chooser:
    """Goes through the entities in order and remembers which fields are taken, planned and told of."""

    def __init__(self, dynamics: DynamicsSchema, marketo: MarketoSchema, default: DefaultMap, zone: str | None) -> None:
        self._zone = zone
        self._dynamics = dynamics
        self._marketo = marketo
        self._default = default
        self._mappings: dict[str, dict[str, Mapping]] = {}
        self._planned: dict[str, NewPersonField] = {}
        self._worksheet: dict[tuple[str, str], WorksheetRow] = {}
        self._not_mapped: list[NotMapped] = []
        self._shared: dict[str, tuple[str, str]] = {}
        taken = [*marketo.person.fields.values(), *marketo.company.fields.values()]
        self._display_names = DisplayNames(field.display_name for field in taken)
        mine = marketo.opportunity.fields.values() if marketo.opportunity else ()
        self._opportunity_names = DisplayNames(field.display_name for field in mine)

    def selection(self) -> Selection:
        return Selection(
            mappings={entity: tuple(found.values()) for entity, found in self._mappings.items()},
            to_create=tuple(self._planned.values()),
            worksheet=tuple(self._named(row) for row in self._worksheet.values()),
            not_mapped=tuple(self._not_mapped),
            left_out={name: reason for name, reason in self._marketo.left_out.items() if name in ENTITIES},
        )

    def _named(self, row: WorksheetRow) -> WorksheetRow:
        """The row with a display name of its own; the fields that crmsync makes have had theirs before."""
        names = self._opportunity_names if row.object == "opportunity" else self._display_names
        return row.model_copy(update={"display_name": names.unique(row.display_name)})

    def add(self, name: MappedName, choice: FieldChoice) -> None:
        self._mappings[name] = {}
        target = self._default.entities[name].target
        for field, system in self._default.system[target].items():
            self._add_system_field(name, target, field, system)
        excluded = frozenset(choice.exclude.get(name, ()))
        for field, derived in self._default.derived(name).items():
            self._derive(name, target, field, derived, excluded)
        renamed = {field: column for column, field in choice.rename.get(name, {}).items()}
        for column in columns(self._dynamics.entities[name], name, self._default, choice):
            if isinstance(column, NotMapped):
                self._not_mapped.append(column)
            elif column.entry is not None and column.entry.link is not None:
                self._link(column, column.entry.link)
            else:
                self._choose(column, renamed)

    def _add_system_field(self, entity: str, target: Target, field: str, system: SystemField) -> None:
        found = self._existing(target, field)
        if found is None and system.create:
            self._plan(field, system.create, system.display, "")
        elif found is not None:
            _check_system_field(found, system, searchable=self._marketo.of(target).searchable(field))
        self._mappings[entity][field] = Mapping(
            entity=entity,
            attribute=self._dynamics.entities[entity].primary_id if system.key else "",
            target=target,
            field=field,
            data_type=system.data_type,
            convert="guid" if system.key else "constant",
            standard=True,
            value=system.constant.get(entity),
        )

    def _derive(self, entity: str, target: Target, field: str, derived: DerivedField, excluded: frozenset[str]) -> None:
        """A field that follows from several columns; it takes all of them."""
        attributes = self._dynamics.entities[entity].attributes
        first, *others = derived.columns
        found = self._existing(target, field)
        missing = [column for column in derived.columns if column not in attributes]
        unread = [column for column in derived.columns if column in attributes and attributes[column].hidden]
        if unread:
            self._not_mapped.append(NotMapped(entity=entity, attribute=unread[0], reason=HIDDEN))
        elif missing:
            reason = f"the organization has no such column, and {field} follows from it"
            self._not_mapped.append(NotMapped(entity=entity, attribute=missing[0], reason=reason))
        elif excluded & set(derived.columns):
            return  # the column is told of as left out
        elif found is None and not derived.create:
            reason = f"the subscription has no field {field}"
            self._not_mapped.append(NotMapped(entity=entity, attribute=first, reason=reason))
        elif found is not None and (found.data_type != derived.data_type or not found.updateable):
            reason = f"Marketo's field {field} is {found.data_type}, and cannot be filled from it"
            self._not_mapped.append(NotMapped(entity=entity, attribute=first, reason=reason))
        else:
            if found is None:
                self._plan(field, derived.data_type, derived.display, "")
            fit = fitting(attributes[first], derived.data_type, found) if derived.data_type == "currency" else None
            length = (found.length if found else None) or FIELD_LENGTH
            self._mappings[entity][field] = Mapping(
                entity=entity,
                attribute=first,
                also=tuple(others),
                target=target,
                field=field,
                data_type=derived.data_type,
                convert=derived.how,
                standard=True,
                lossy=derived.lossy or (fit.lossy if fit else None),
                max_length=length if derived.data_type == "string" else None,
            )

    def _link(self, column: Wanted, link: Literal["owner", "company"]) -> None:
        self._existing(column.target, LINK_FIELDS[link])
        self._map(column, LINK_FIELDS[link], Fit("string", link))

    def _choose(self, column: Wanted, renamed: dict[str, str]) -> None:
        best = preferred(column.attribute, self._zone)
        if best is None:
            self._leave(column, why_unmapped(column.attribute))
            return
        name = self._name(column, best)
        taken_by = self._mappings[column.entity].get(name)
        owner = taken_by.attribute if taken_by else renamed.get(name, column.attribute.logical_name)
        found = self._existing(column.target, name)
        if owner != column.attribute.logical_name:
            self._leave(column, f"Marketo's field {name} is filled from {owner or 'crmsync itself'} already")
        elif found is not None:
            self._use(column, found)
        else:
            self._make(column, name, best)

    def _use(self, column: Wanted, found: Field) -> None:
        """Send the column to a field that exists, if that is possible."""
        fit = fitting(column.attribute, found.data_type, found, zone=self._zone)
        if not found.updateable:
            self._leave(column, f"Marketo's field {found.name} is read-only")
        elif fit is None:
            self._leave(column, _unfit(column, found.name, found.data_type))
        else:
            self._map(column, found.name, fit)

    def _make(self, column: Wanted, name: str, best: Fit) -> None:
        """Plan a new person field, or tell an administrator what to make, or say that there is no such field."""
        entry = None if column.renamed else column.entry
        planned = self._planned.get(name)
        if entry is not None and not (entry.create or entry.admin):
            self._leave(column, f"the subscription has no field {' or '.join(entry.field)}")
            return
        if column.target == "sales_person":
            self._leave(column, "the fields of sales persons are fixed in Marketo, none can be added")
            return
        if column.target in _MADE_BY_HAND and best.convert == "cut text":
            # An administrator makes it anyway, and can make a text area, which cuts less.
            best = fitting(column.attribute, "text") or best
        data_type = planned.data_type if planned else ((entry and (entry.create or entry.admin)) or best.data_type)
        fit = fitting(column.attribute, data_type, zone=self._zone)
        if fit is None:
            self._leave(column, _unfit(column, name, data_type))
        elif column.target in _MADE_BY_HAND or data_type not in CREATABLE_TYPES:
            self._ask_administrator(column, name, data_type)
        else:
            self._plan(name, data_type, column.label, column.attribute.logical_name)
            self._map(column, name, fit)

    def _name(self, column: Wanted, best: Fit) -> str:
        """The field's REST name: the tenant's, the map's, or the column's own (with a suffix where that is taken)."""
        if column.renamed:
            return column.renamed
        existing = self._fields(column.target)
        if column.entry is not None:
            return next((name for name in column.entry.field if name in existing), column.entry.field[0])
        name = column.attribute.logical_name
        if column.target == "opportunity":
            return name  # its fields are nobody else's
        if column.target == "person" and name in self._marketo.company.fields:
            name += "_person"
        own = f"{name}_{column.entity}"
        if own in existing and fitting(column.attribute, existing[own].data_type, existing[own], zone=self._zone):
            return own
        if column.target == "company":
            return own if name not in existing and self._people_use(name) else name
        kind = (column.attribute.type, best.data_type)
        return name if self._shared.setdefault(name, kind) == kind else own

    def _people_use(self, name: str) -> bool:
        """Whether people have or may get a field of this name: company fields are fields of people, too."""
        people = (self._dynamics.entities.get(entity) for entity in ("lead", "contact"))
        return name in self._marketo.person.fields or any(one and name in one.attributes for one in people)

    def _fields(self, target: Target) -> dict[str, Field]:
        own = self._marketo.of(target).fields
        return self._marketo.company.fields | own if target == "person" else own

    def _existing(self, target: Target, name: str) -> Field | None:
        found = self._fields(target).get(name)
        if found is not None and found.crm_managed:
            raise NativeSyncOn(f"Marketo's field {name} is managed by a native CRM sync")
        return found

    def _map(self, column: Wanted, name: str, fit: Fit) -> None:
        note = column.entry.lossy if column.entry else None
        self._mappings[column.entity][name] = Mapping(
            entity=column.entity,
            attribute=column.attribute.logical_name,
            target=column.target,
            field=name,
            data_type=fit.data_type,
            convert=fit.convert,
            standard=column.entry is not None,
            lossy="; ".join(filter(None, (note, fit.lossy))) or None,
            max_length=fit.max_length,
            value=column.entry.empty if column.entry else None,
            zone=fit.zone,
        )

    def _leave(self, column: Wanted, reason: str) -> None:
        left = NotMapped(entity=column.entity, attribute=column.attribute.logical_name, reason=reason)
        self._not_mapped.append(left)

    def _plan(self, name: str, data_type: str, label: str, logical_name: str) -> None:
        if name not in self._planned:
            source = f" from the Dynamics column {logical_name}" if logical_name else ""
            self._planned[name] = NewPersonField(
                name=name,
                display_name=self._display_names.unique(label),
                data_type=data_type,
                description=f"Written by crmsync{source}",
            )

    def _ask_administrator(self, column: Wanted, name: str, data_type: str) -> None:
        kind = _MADE_BY_HAND.get(column.target, "person")
        what = "text areas" if kind == "person" else f"{kind} fields"
        why = f"{what} cannot be made over the API"
        self._leave(column, f"Marketo has no field {name}, and {why}: see the worksheet")
        if (kind, name) not in self._worksheet:
            self._worksheet[kind, name] = WorksheetRow(
                object=kind,
                display_name=column.label,
                field=name,
                data_type=data_type,
                why=why,
                entity=column.entity,
                attribute=column.attribute.logical_name,
            )


def _check_system_field(found: Field, system: SystemField, *, searchable: bool) -> None:
    if found.data_type != system.data_type:
        raise FeatureMissing(
            f"Marketo's field {found.name} is of type {found.data_type}, but crmsync needs it to be {system.data_type}",
            remedy=f"Change its type to {system.data_type} in Admin > Field Management, then run this step again.",
        )
    if system.key and not searchable:
        raise FeatureMissing(
            f"Marketo lets no records be found by {found.name}, which crmsync keeps their Dynamics id in",
            remedy=f"Ask Marketo Support to make {found.name} searchable (describe lists it in searchableFields then).",
        )


def _unfit(column: Wanted, name: str, data_type: str) -> str:
    what = f"Marketo's field {name} is {data_type}, which cannot hold {column.attribute.kind} values"
    if data_type == "date" and keeps_midnights(column.attribute):
        return f"{what} unless a 'time_zone' under 'fields' in the tenant file says which dates they are"
    return f"{what}; rename sends it to another field"


def _check_budget(selection: Selection, marketo: MarketoSchema) -> None:
    used, new = marketo.api_created_fields, len(selection.to_create)
    if used + new <= CREATION_LIMIT:
        return
    wanted = list(_columns_to_create(selection))
    shown = ", ".join(wanted[:SHOWN]) + (f" and {len(wanted) - SHOWN} more" if len(wanted) > SHOWN else "")
    raise FieldBudgetExceeded(
        f"{new} Marketo fields would have to be created and {used} were created over the API before, but Marketo "
        f"allows {CREATION_LIMIT} in all: {used + new - CREATION_LIMIT} too many",
        remedy=(
            "Leave columns out in the tenant file (fields: exclude, or custom: none and include the ones you need), "
            "send some to fields that exist (rename), or have an administrator make the fields in Admin > Field "
            f"Management under the same names. Columns that need a new field: {shown}."
        ),
    )


def _columns_to_create(selection: Selection) -> Iterator[str]:
    """The columns that need a new field, custom ones first: those are the ones to do without."""
    new = {field.name for field in selection.to_create}
    needing = [
        mapping
        for mappings in selection.mappings.values()
        for mapping in mappings
        if mapping.field in new and mapping.attribute and mapping.field not in KEY_FIELDS.values()
    ]
    yield from (f"{one.entity}.{one.attribute}" for one in sorted(needing, key=lambda one: one.standard))
