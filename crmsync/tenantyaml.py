"""A tenant file as text: read, parsed, and where in it a thing stands.

YAML wants the keys of a mapping to be unique (YAML 1.2.2, section 3.2.1.1); the parser takes the last of them without a
word, so that is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crmsync.errors import TenantFileWrong

MERGE_KEY = "tag:yaml.org,2002:merge"


def read(path: Path, tenant: str) -> tuple[dict[str, Any], yaml.Node]:
    """What the file says, and its nodes for ``line_of``. Raises ``TenantFileWrong`` naming file, line and remedy."""
    text = _text(path, tenant)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise TenantFileWrong(
            f"{path}:{mark.line + 1 if mark else 1}: this is not YAML: {getattr(error, 'problem', error)}",
            tenant=tenant,
            remedy="Mend the line; indentation and colons are the usual causes.",
        ) from None
    if not isinstance(data, dict) or node is None:
        raise TenantFileWrong(
            f"{path}:1: expected settings, one 'name: value' a line",
            tenant=tenant,
            remedy="README, 'Connect a real tenant', shows a whole file.",
        )
    for key in _given_twice(node):
        raise TenantFileWrong(
            f"{path}:{key.start_mark.line + 1}: '{key.value}' is given twice",
            tenant=tenant,
            remedy="Keep one of the two.",
        )
    return data, node


def line_of(node: yaml.Node | None, where: tuple[Any, ...]) -> int:
    """The line (from 1) of the deepest part of ``where`` that the file has."""
    line = 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _text(path: Path, tenant: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TenantFileWrong(
            f"{path}:{line}: this is not UTF-8 text", tenant=tenant, remedy="Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise TenantFileWrong(
            f"{path} cannot be read: {error.strerror}", tenant=tenant, remedy="Let this user read the file."
        ) from None


def _given_twice(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that their mapping has already."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.tag != MERGE_KEY and key.value in seen:
                yield key
            seen.add(str(key.value))
            yield from _given_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _given_twice(one)
