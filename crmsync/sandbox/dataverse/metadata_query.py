"""``$select``, ``$filter`` and ``$expand`` on schema definitions, which are not rows: evaluated in memory, never paged.

"Query table definitions using the Web API" (Power Apps developer documents): comparisons are exact, enumerations are
written ``Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist'``, managed properties are reached by ``/Value``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from crmsync.sandbox.dataverse.errors import ODataError, bad_request
from crmsync.sandbox.dataverse.expanding import split_expand

Object = dict[str, Any]
Predicate = Callable[[Object], bool]
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+'(\w+)'")
_TESTS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: bool(a == b),
    ast.NotEq: lambda a, b: bool(a != b),
}


def no_metadata_property(name: str, kind: str) -> ODataError:
    return bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{kind}'.")


def pick(one: Object, select: str | None, kind: str) -> Object:
    """The selected properties; ``MetadataId`` and ``@odata.type`` are always there."""
    if not select:
        return one
    names = [name.strip() for name in select.split(",")]
    for name in names:
        if name not in one:
            raise no_metadata_property(name, kind)
    always = ["@odata.type"] if "@odata.type" in one else []
    return {name: one[name] for name in dict.fromkeys([*always, *names, "MetadataId"])}


def metadata_filter(text: str | None, kind: str) -> Predicate:
    """The predicate of ``$filter``."""
    if not text:
        return lambda _: True
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(_ENUM.sub(r"'\1'", text).strip()))
    except (exceptions.ODataException, AttributeError, KeyError):
        raise bad_request(f"Syntax error at position 0 in '{text}'.") from None
    return _predicate(tree, kind)


def _predicate(node: ast._Node, kind: str) -> Predicate:
    if isinstance(node, ast.BoolOp):
        left, right = _predicate(node.left, kind), _predicate(node.right, kind)
        if isinstance(node.op, ast.And):
            return lambda one: left(one) and right(one)
        return lambda one: left(one) or right(one)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _predicate(node.operand, kind)
        return lambda one: not inner(one)
    if isinstance(node, ast.Compare) and type(node.comparator) in _TESTS and isinstance(node.right, ast._Literal):
        test, path, value = _TESTS[type(node.comparator)], _path(node.left), _value(node.right)
        return lambda one: test(_at(one, path, kind), value)
    if isinstance(node, ast.Identifier | ast.Attribute):
        path = _path(node)
        return lambda one: bool(_at(one, path, kind))
    raise bad_request("The query node is not supported on schema definitions.")


def _value(node: ast._Literal) -> Any:
    return node.val.lower() if isinstance(node, ast.GUID) else node.py_val


def _path(node: ast._Node) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_path(node.owner), node.attr]
    if isinstance(node, ast.Identifier):
        return [node.name]
    raise bad_request("The query node is not supported on schema definitions.")


def _at(one: Object, path: list[str], kind: str) -> Any:
    value: Any = one
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            raise no_metadata_property(step, kind)
        value = value[step]
    return value


def expansions(text: str | None) -> dict[str, dict[str, str]]:
    """``$expand`` as property name to its inner query options."""
    found: dict[str, dict[str, str]] = {}
    for item in split_expand(text):
        match = re.fullmatch(r"(\w+)(?:\((.*)\))?", item, re.DOTALL)
        if match is None:
            raise bad_request(f"Syntax error in $expand at '{item}'.")
        found[match[1]] = inner_options(match[2] or "")
    return found


def inner_options(text: str) -> dict[str, str]:
    """``$select=a,b;$filter=...`` inside an expand; a semicolon in parentheses or quotes parts nothing."""
    options: dict[str, str] = {}
    for part in re.findall(r"(?:'[^']*'|\((?:'[^']*'|[^()]|\([^()]*\))*\)|[^;'()])+", text):
        name, _, value = part.partition("=")
        options[name.strip()] = value
    return options
