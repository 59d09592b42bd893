"""Adobe's OpenAPI files as operations and definitions, with the corrections applied.

The files are read from the reference folder beside the repository and never copied; ``FOLDER`` may be absent.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from tests.openapi.corrections import CORRECTIONS, MORE_OPERATIONS, PERMISSIONS, Correction, MoreOperation

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "marketo-openapi"
FILES = ("swagger-mapi.json", "swagger-identity.json")
PRESENT = all((FOLDER / name).is_file() for name in FILES)


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation; ``place`` is query, path, body, formData or header."""

    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """A method on a path. ``answer`` is the schema of the only answer that the files describe."""

    method: str
    path: str
    parameters: tuple[Parameter, ...]
    answer: Mapping[str, Any]
    permissions: frozenset[str] = frozenset()
    """One of these is needed, says the description."""

    def named(self, place: str) -> dict[str, Parameter]:
        """The parameters of one place."""
        return {each.name: each for each in self.parameters if each.place == place}

    @property
    def body(self) -> Parameter | None:
        return next(iter(self.named("body").values()), None)

    @property
    def answers_a_file(self) -> bool:
        return str(self.answer.get("$ref", "")).rpartition("/")[2].startswith("ObservableOfInputStream")


class Specification:
    """All operations of some OpenAPI files."""

    def __init__(
        self,
        files: Iterable[Mapping[str, Any]],
        corrections: Iterable[Correction] = CORRECTIONS,
        more: Iterable[MoreOperation] = MORE_OPERATIONS,
    ) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self.operations: dict[tuple[str, str], Operation] = {}
        for file in files:
            self.definitions |= copy.deepcopy(dict(file["definitions"]))
            for path, methods in file["paths"].items():
                self._add(path, methods)
        for each in more:
            self._add_like(each)
        for correction in corrections:
            for name, definition in self.definitions.items():
                if fnmatchcase(name, correction.definition):
                    _correct(definition, correction)
        paths = {path for _, path in self.operations}
        self._patterns = [(path, _pattern(path)) for path in sorted(paths, key=lambda path: path.count("{"))]

    @property
    def closed(self) -> dict[str, dict[str, Any]]:
        """The definitions for answers to writes, which tell of records but do not carry their fields."""
        return {
            name: {key: value for key, value in definition.items() if key != "x-open"}
            for name, definition in self.definitions.items()
        }

    @classmethod
    def load(cls, folder: Path = FOLDER, **changes: Any) -> Self:
        """The files in a folder."""
        return cls([json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES], **changes)

    def find(self, method: str, path: str) -> tuple[Operation | None, dict[str, str]]:
        """The operation of a request and what its path's placeholders match."""
        for template, pattern in self._patterns:
            if (match := pattern.fullmatch(path)) and (method.lower(), template) in self.operations:
                return self.operations[method.lower(), template], match.groupdict()
        return None, {}

    def _add(self, path: str, methods: Mapping[str, Any]) -> None:
        for method, told in methods.items():
            parameters = tuple(_parameter(each) for each in told.get("parameters", ()))
            answer = told["responses"]["200"].get("schema", {})
            permissions = _permissions(told.get("description", ""))
            self.operations[method, path] = Operation(method, path, parameters, answer, permissions)

    def _add_like(self, more: MoreOperation) -> None:
        model = self.operations.get(more.like)
        if model is not None:
            key = (more.method, more.path)
            self.operations[key] = Operation(*key, model.parameters, model.answer, model.permissions)


def _permissions(description: str) -> frozenset[str]:
    match = re.search(r"Required Permissions:([^<\n]*)", description)
    names = {name.strip() for name in match[1].split(",")} if match else set()
    return frozenset(PERMISSIONS.get(name, name) for name in names) - {"None"}


def _parameter(told: Mapping[str, Any]) -> Parameter:
    schema = told.get("schema") or {key: told[key] for key in ("type", "format", "enum", "items") if key in told}
    return Parameter(told["name"], told["in"], bool(told.get("required")), schema)


def _correct(definition: dict[str, Any], correction: Correction) -> None:
    properties = definition.setdefault("properties", {})
    properties.update({name: dict(schema) for name, schema in correction.members.items()})
    definition["required"] = [name for name in definition.get("required", []) if name not in correction.optional]
    for name in correction.nullable:
        schema = properties[name]
        properties[name] = schema | {"x-nullable": True}
    if correction.is_open:
        definition["x-open"] = True


def _pattern(path: str) -> re.Pattern[str]:
    """A placeholder matches one segment, or the part of it before ``.json``."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
