"""Names: what a new Marketo field is called, and whether the tenant file's names exist.

That a field's name starts with a letter and holds letters, digits and underscores, and that display names are unique
and free of special characters, is from "Lead fields" (Marketo REST API). Which characters are special is not said
there, so display names keep to letters, digits, space, underscore and hyphen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from difflib import get_close_matches
from itertools import count

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.errors import TenantFileWrong
from crmsync.fields.catalogue import DefaultMap
from crmsync.tenants import Conflicts, FieldChoice, MappedName

_REST_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SPECIAL = re.compile(r"[^A-Za-z0-9 _-]+")


def display_name(label: str | None, logical_name: str) -> str:
    """A label reduced to what Marketo surely accepts; the logical name where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", label or "")
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(_SPECIAL.sub(" ", plain).split()) or logical_name


class DisplayNames:
    """Hands out display names that no other field has; capitals make no difference."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.casefold() for name in taken}

    def unique(self, name: str) -> str:
        """``name``, else ``name Dynamics``, else ``name Dynamics 2`` and so on."""
        for candidate in self._candidates(name):
            if candidate.casefold() not in self._taken:
                self._taken.add(candidate.casefold())
                return candidate
        raise AssertionError("unreachable: the candidates never end")

    @staticmethod
    def _candidates(name: str) -> Iterator[str]:
        yield name
        yield f"{name} Dynamics"
        yield from (f"{name} Dynamics {number}" for number in count(2))


def check_choice(choice: FieldChoice, dynamics: DynamicsSchema, default: DefaultMap) -> None:
    """Raise ``TenantFileWrong`` when the choice names columns that do not exist or asks for what cannot be."""
    problems = [
        *_unknown_columns(choice, dynamics, default),
        *_contradictions(choice),
        *_always_synced(choice, dynamics, default),
        *_wrong_renames(choice, default),
    ]
    if problems:
        raise TenantFileWrong(
            "The tenant file's field selection cannot be used:\n" + "\n".join(f"- {problem}" for problem in problems),
            remedy="Correct these lines under 'fields:' in the tenant file; columns go by their logical names.",
        )


def _mentions(choice: FieldChoice) -> Iterator[tuple[str, MappedName, str]]:
    for key, columns in (("include", choice.include), ("exclude", choice.exclude), ("rename", choice.rename)):
        for entity, names in columns.items():
            yield from ((key, entity, name) for name in names)


def _unknown_columns(choice: FieldChoice, dynamics: DynamicsSchema, default: DefaultMap) -> Iterator[str]:
    for key, entity, name in _mentions(choice):
        found = dynamics.entities.get(entity)
        known = set(found.attributes) if found else set()
        if name in known or (key == "exclude" and name in default.attributes(entity)):
            continue
        yield f"{key}: {entity} has no column '{name}'{_near(name, known)}"


def _near(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def check_rules(conflicts: Conflicts, dynamics: DynamicsSchema, but: Container[tuple[str, str]] = ()) -> None:
    """Raise ``TenantFileWrong`` when a rule for a field names a column that does not exist: another rule would decide
    in its place. ``but`` are columns that did, by entity; what the schema does not have at all is not judged."""
    rules = [(entity, name) for entity, _, name in (rule.partition(".") for rule in sorted(conflicts.fields))]
    problems = [
        f"{entity} has no column '{name}'{_near(name, dynamics.entities[entity].attributes)}"
        for entity, name in rules
        if entity in dynamics.entities
        and name not in dynamics.entities[entity].attributes
        and (entity, name) not in but
    ]
    if problems:
        raise TenantFileWrong(
            "The tenant file's rules for conflicts cannot be used:\n" + "\n".join(f"- {one}" for one in problems),
            remedy="Correct these under 'conflicts: fields:' in the tenant file; columns go by their logical names.",
        )


def _contradictions(choice: FieldChoice) -> Iterator[str]:
    for entity, excluded in choice.exclude.items():
        for key, wanted in (("include", choice.include.get(entity, ())), ("rename", choice.rename.get(entity, {}))):
            for name in sorted(set(excluded) & set(wanted)):
                yield f"exclude: {entity} column '{name}' is under {key} too"


def _always_synced(choice: FieldChoice, dynamics: DynamicsSchema, default: DefaultMap) -> Iterator[str]:
    for key, entity, name in _mentions(choice):
        entry = default.attributes(entity).get(name)
        found = dynamics.entities.get(entity)
        is_key = found is not None and found.primary_id == name
        if key != "include" and (is_key or (entry is not None and entry.link is not None)):
            what = "its key" if is_key else f"its {entry.link if entry else ''} link"
            verb = "left out" if key == "exclude" else "renamed"
            yield f"{key}: {entity} column '{name}' is {what}: it is always synced and cannot be {verb}"


def _wrong_renames(choice: FieldChoice, default: DefaultMap) -> Iterator[str]:
    for entity, renames in choice.rename.items():
        reserved = set(default.system[default.entities[entity].target])
        reserved |= {entry.link_field for entry in default.attributes(entity).values() if entry.link_field}
        reserved |= set(default.derived(entity))
        used: dict[str, str] = {}
        for name, field in renames.items():
            if not _REST_NAME.fullmatch(field):
                yield f"rename: '{field}' cannot be a Marketo field: a letter, then letters, digits and underscores"
            elif field in reserved:
                yield f"rename: {entity} column '{name}' cannot go to {field}, which crmsync fills itself"
            elif field in used:
                yield f"rename: {entity} columns '{used[field]}' and '{name}' both go to {field}"
            used.setdefault(field, name)
