"""``$filter`` to SQL: the odata-query parser reads it, a visitor turns the tree into a WHERE clause with parameters.

"Filter rows" (Power Apps developer documents): comparison and logical operators, ``contains``, ``startswith`` and
``endswith``, lookup paths, ``any``/``all`` and the ``Microsoft.Dynamics.CRM`` query functions; nothing else of OData.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.crm_functions import CrmFunction, crm_condition, extract_functions
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import ODataError, bad_request
from crmsync.sandbox.dataverse.literals import edm_type, incompatible, value_for
from crmsync.sandbox.dataverse.sources import Source

_OPERATORS: dict[type, tuple[str, str]] = {
    ast.Eq: ("=", "Equal"),
    ast.NotEq: ("<>", "NotEqual"),
    ast.Lt: ("<", "LessThan"),
    ast.LtE: ("<=", "LessThanOrEqual"),
    ast.Gt: (">", "GreaterThan"),
    ast.GtE: (">=", "GreaterThanOrEqual"),
}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
_PATTERNS: dict[str, Callable[[str], str]] = {
    "contains": lambda text: f"%{text}%",
    "startswith": lambda text: f"{text}%",
    "endswith": lambda text: f"%{text}",
}
_ALIAS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"|(@\w+)")


def where(text: str, source: Source, aliases: dict[str, str], now: str) -> str:
    """The condition of ``text``; adds joins and parameters to ``source``."""
    _check_quotes(text)
    text = _ALIAS.sub(lambda match: aliases.get(match[1], match[1]) if match[1] else match[0], text)
    plain, functions = extract_functions(text)
    return FilterSql(source, functions, now).condition(_parse(plain))


def _check_quotes(text: str) -> None:
    if text.count("'") % 2:
        position = text.rindex("'")
        raise bad_request(f"There is an unterminated literal at position {position} in '{text}'.")


def _parse(text: str) -> ast._Node:
    try:
        tree: ast._Node = ODataParser().parse(ODataLexer().tokenize(text.strip()))
        return tree
    except exceptions.UnknownFunctionException as error:
        raise bad_request(f"An unknown function with name '{error.function_name}' was found.") from None
    except (exceptions.ODataException, AttributeError, KeyError):
        # AttributeError: the parser's own fault at some malformed parameter lists.
        raise bad_request(f"Syntax error at position 0 in '{text}'.") from None


class FilterSql:
    """One filter over one source of rows."""

    def __init__(
        self,
        source: Source,
        functions: dict[str, CrmFunction],
        now: str,
        lambdas: dict[str, Source] | None = None,
    ) -> None:
        self._source = source
        self._functions = functions
        self._now = now
        self._lambdas = lambdas or {}

    def condition(self, node: ast._Node) -> str:
        """A boolean expression."""
        if isinstance(node, ast.BoolOp):
            joined = " AND " if isinstance(node.op, ast.And) else " OR "
            return _balanced([self.condition(one) for one in _operands(node)], joined)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            if isinstance(node.operand, ast.Identifier) and node.operand.name in self._functions:
                raise bad_request("The 'not' operator cannot be used along with a query function.")
            return f"NOT coalesce({self.condition(node.operand)}, 0)"
        if isinstance(node, ast.Compare) and not isinstance(node.comparator, ast.In):
            return self._compare(node)
        if isinstance(node, ast.Call):
            return self._text_function(node)
        if isinstance(node, ast.CollectionLambda):
            return self._any_or_all(node)
        if isinstance(node, ast.Identifier | ast.Attribute):
            return self._bare(node)
        raise _unsupported()

    def _bare(self, node: ast.Identifier | ast.Attribute) -> str:
        if isinstance(node, ast.Identifier) and node.name in self._functions:
            return crm_condition(self._functions[node.name], self._source, self._now)
        column, sql = self._column(node)
        if column.kind != "Boolean":
            raise bad_request("The $filter expression must evaluate to a single boolean value.")
        return f"{sql} = 1"

    def _column(self, node: ast._Node) -> tuple[Column, str]:
        """The column that a name or a path stands for."""
        path = _path(node)
        source = self._source
        if path[0] in self._lambdas and len(path) > 1:
            source = self._lambdas[path.pop(0)]
        for step in path[:-1]:
            source = source.join(step)
        return source.column(path[-1])

    def _compare(self, node: ast.Compare) -> str:
        operator, kind = _OPERATORS[type(node.comparator)]
        left, right = node.left, node.right
        if isinstance(left, ast._Literal) and not isinstance(right, ast._Literal):
            left, right, operator = right, left, _MIRRORED[operator]
        column, sql = self._column(left)
        if isinstance(right, ast.Null):
            if operator not in {"=", "<>"}:
                raise incompatible(edm_type(column), "Edm.Null", kind)
            return f"{sql} IS {'NOT ' if operator == '<>' else ''}NULL"
        if isinstance(right, ast._Literal):
            return self._against_value(column, sql, operator, value_for(column, right, kind))
        other, other_sql = self._column(right)
        if edm_type(other) != edm_type(column):
            raise incompatible(edm_type(column), edm_type(other), kind)
        return f"{sql} {operator} {other_sql}"

    def _against_value(self, column: Column, sql: str, operator: str, value: Any) -> str:
        mark = self._source.bind(value)
        if isinstance(value, str) and column.kind in {"String", "Memo"} and not value.isascii():
            # SQLite's NOCASE knows ASCII letters only.
            compared = f"crm_fold({sql}) {operator} crm_fold({mark})"
        else:
            compared = f"{sql} {operator} {mark}"
        # Dataverse answers rows without a value too when asked for "not equal".
        return f"({compared} OR {sql} IS NULL)" if operator == "<>" else compared

    def _text_function(self, node: ast.Call) -> str:
        name = str(node.func.full_name())  # type: ignore[no-untyped-call]
        if name not in _PATTERNS:
            raise bad_request(f"An unknown function with name '{name}' was found.")
        column, sql = self._column(node.args[0])
        argument = node.args[1]
        if not isinstance(argument, ast.String) or edm_type(column) != "Edm.String":
            raise bad_request(
                f"No function signature for the function with name '{name}' matches the specified arguments. "
                f"The function signatures considered are: {name}(Edm.String Nullable=true, Edm.String Nullable=true)."
            )
        pattern = _PATTERNS[name](argument.val)
        mark = self._source.bind(pattern)
        if pattern.isascii() and "[" not in pattern:
            return f"{sql} LIKE {mark}"
        return f"crm_like({mark}, {sql})"

    def _any_or_all(self, node: ast.CollectionLambda) -> str:
        path = _path(node.owner)
        source = self._source
        for step in path[:-1]:
            source = source.join(step)
        inner, link = source.collection(path[-1])
        every = isinstance(node.operator, ast.All)
        if node.lambda_ is None:
            return f"EXISTS (SELECT 1 FROM {quoted(inner.table.name)} AS {inner.alias} WHERE {link})"
        visitor = FilterSql(inner, self._functions, self._now, {node.lambda_.identifier.name: inner})
        condition = visitor.condition(node.lambda_.expression)
        test = f"NOT coalesce({condition}, 0)" if every else condition
        found = f"EXISTS (SELECT 1 FROM {inner.from_clause()} WHERE {link} AND {test})"
        return f"NOT {found}" if every else found


def _path(node: ast._Node) -> list[str]:
    if isinstance(node, ast.Identifier):
        return [str(node.full_name())]  # type: ignore[no-untyped-call]
    if isinstance(node, ast.Attribute):
        return [*_path(node.owner), node.attr]
    raise _unsupported()


def _operands(node: ast.BoolOp) -> list[ast._Node]:
    """The operands of a chain of one operator, from left to right, without recursion: a chain may be long."""
    found: list[ast._Node] = []
    rest: ast._Node = node
    while isinstance(rest, ast.BoolOp) and type(rest.op) is type(node.op):
        found.append(rest.right)
        rest = rest.left
    return [rest, *reversed(found)]


def _balanced(conditions: list[str], joined: str) -> str:
    """All conditions joined as a balanced tree: SQLite refuses expressions deeper than 1,000."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({_balanced(conditions[:middle], joined)}{joined}{_balanced(conditions[middle:], joined)})"


def _unsupported() -> ODataError:
    return bad_request("The query node is not supported.")
