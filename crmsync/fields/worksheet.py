"""What a person reads before anything is made: the plan, and the worksheet of fields to make by hand.

The page to make fields on is described in "Create a Custom Field in Marketo"; the names of the types are those it
shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crmsync.fields.model import CustomObject, Mapping, Selection

_TYPE_LABELS = {
    "boolean": "Boolean",
    "currency": "Currency",
    "date": "Date",
    "datetime": "DateTime",
    "email": "Email",
    "float": "Float",
    "integer": "Integer",
    "percent": "Percent",
    "phone": "Phone",
    "score": "Score",
    "string": "String",
    "text": "Text Area",
    "url": "URL",
}
COLUMNS = ("Object", "Type", "Name", "API name", "For", "Why")


def worksheet_rows(selection: Selection) -> list[dict[str, str]]:
    """The fields that an administrator has to make, as rows under ``COLUMNS``."""
    return [
        dict(
            zip(
                COLUMNS,
                (
                    row.object.capitalize(),
                    _TYPE_LABELS.get(row.data_type, row.data_type),
                    row.display_name,
                    row.field,
                    f"{row.entity}.{row.attribute}",
                    row.why,
                ),
                strict=True,
            )
        )
        for row in selection.worksheet
    ]


def worksheet_markdown(selection: Selection) -> str:
    """The same as a Markdown page, with what to do; one sentence when there is nothing to do."""
    rows = worksheet_rows(selection)
    if not rows:
        return "No Marketo field has to be made by hand.\n"
    return "\n".join(
        [
            "# Marketo fields to make by hand",
            "",
            "Marketo's API cannot make these fields: make them under Admin > Field Management > New Custom Field.",
            "The API name must be as below and cannot be changed later. Then run resync: a column whose field is there",
            "is synced from then on. Until then, and if you decide against a field, the column is left out.",
            "",
            *_table(COLUMNS, [tuple(row.values()) for row in rows]),
            "",
        ]
    )


def describe_plan(selection: Selection) -> list[str]:
    """The selection in sentences: how much is synced, what will be made (for good), what is lost, what is left out."""
    lines = [
        f"{entity}: {len(mappings)} Marketo fields of the {mappings[0].target.replace('_', ' ')} object are filled"
        for entity, mappings in selection.mappings.items()
        if mappings
    ]
    if selection.to_create:
        lines.append(f"Marketo fields to be created, which can never be deleted again: {len(selection.to_create)}")
        lines += [f"  {one.name} ({one.data_type}, '{one.display_name}')" for one in selection.to_create]
    else:
        lines.append("No Marketo field has to be created")
    for entity, custom in selection.custom_objects.items():
        lines += _custom_object(entity, custom)
    if selection.worksheet:
        lines.append(f"Marketo fields that only an administrator can make (worksheet): {len(selection.worksheet)}")
        lines += [f"  {row.object}: {row.field} ({row.data_type}, '{row.display_name}')" for row in selection.worksheet]
    lines += _section("Values that lose something", [f"{_way(one)}: {one.lossy}" for one in lossy(selection)])
    lines += _section("Entities that are left out", [f"{name}: {why}" for name, why in selection.left_out.items()])
    left = [f"{one.entity}.{one.attribute}: {one.reason}" for one in selection.not_mapped]
    return lines + _section("Columns that are not synced", left)


def _custom_object(entity: str, custom: CustomObject) -> Iterator[str]:
    """What a custom entity becomes, and what of it will be made: an approved link or key stays for ever."""
    yield f"{entity}: custom object {custom.name}, which belongs to a {custom.link.to} by {custom.link.path}"
    if custom.make is not None and custom.make.fields:
        yield f"Fields of custom object {custom.name} to be created: {len(custom.make.fields)}"
        for one in custom.make.fields:
            link = f", to {one.related[0]}.{one.related[1]}" if one.related else ""
            yield f"  {one.name} ({one.data_type}, '{one.display_name}'{link})"


def lossy(selection: Selection) -> Iterator[Mapping]:
    """The mappings that lose something, in order."""
    yield from (one for mappings in selection.mappings.values() for one in mappings if one.lossy)


def mapping_markdown(selection: Selection) -> str:
    """Every mapping as a Markdown table, for an artifact."""
    header = ("Column", "Marketo field", "Type", "What is lost")
    rows = [
        (_source(one), one.field, one.data_type, one.lossy or "")
        for mappings in selection.mappings.values()
        for one in mappings
    ]
    return "\n".join([*_table(header, rows), ""])


def _source(mapping: Mapping) -> str:
    return f"{mapping.entity}.{mapping.attribute}" if mapping.attribute else f"{mapping.entity}: {mapping.value}"


def _way(mapping: Mapping) -> str:
    return f"{_source(mapping)} to {mapping.field}"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}: {len(lines)}", *(f"  {line}" for line in lines)] if lines else []


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in cells]
