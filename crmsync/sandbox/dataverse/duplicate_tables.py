"""Duplicate detection rules and their conditions.

The duplicate rule and duplicate rule condition table references of the Dataverse documents.
"""

from __future__ import annotations

from crmsync.sandbox.dataverse.column_groups import owned
from crmsync.sandbox.dataverse.columns import Reference, Table, choice, integer, key, lookup, memo, text, yes_no
from crmsync.sandbox.dataverse.options import Option

_STATE = (Option(0, "Inactive", default_status=0), Option(1, "Active", default_status=2))
_STATUS = (Option(0, "Unpublished", state=0), Option(1, "Publishing", state=0), Option(2, "Published", state=1))
_OPERATORS = (
    Option(0, "Exact Match"),
    Option(1, "Same First Characters"),
    Option(2, "Same Last Characters"),
    Option(3, "Same Date"),
    Option(4, "Same Date and Time"),
    Option(5, "Exact Match (Pick List Label)"),
    Option(6, "Exact Match (Pick List Value)"),
)


RULE = (
    key("duplicateruleid", "Duplicate Detection Rule"),
    text("name", "Name", 160, primary_name=True),
    memo("description", "Description"),
    text("baseentityname", "Base Record Type", 160),
    text("matchingentityname", "Matching Record Type", 160),
    yes_no("iscasesensitive", "Case Sensitive"),
    yes_no("excludeinactiverecords", "Exclude Inactive Matching Records"),
    *owned("duplicaterule", _STATE, _STATUS),
)

CONDITION = (
    key("duplicateruleconditionid", "Duplicate Rule Condition"),
    text("baseattributename", "Base Record Type Attribute", 160, primary_name=True),
    text("matchingattributename", "Matching Record Type Attribute", 160),
    choice("operatorcode", "Operator Code", _OPERATORS, default=0),
    integer("operatorparam", "Operator Parameter", 0, 10000),
    yes_no("ignoreblankvalues", "Ignore Blank Values", default=True),
    lookup(
        "regardingobjectid",
        "Regarding",
        Reference("duplicaterule", "regardingobjectid", "DuplicateRule_DuplicateRuleConditions"),
    ),
    *(column for column in owned("duplicaterulecondition", _STATE, _STATUS) if column.kind not in {"State", "Status"}),
)

DUPLICATE_TABLES: tuple[Table, ...] = (
    Table(
        "duplicaterule",
        "DuplicateRule",
        "duplicaterules",
        "Duplicate Detection Rule",
        "Duplicate Detection Rules",
        4414,
        "UserOwned",
        "duplicateruleid",
        "name",
        RULE,
        can_be_tracked=False,
    ),
    Table(
        "duplicaterulecondition",
        "DuplicateRuleCondition",
        "duplicateruleconditions",
        "Duplicate Rule Condition",
        "Duplicate Rule Conditions",
        4416,
        "UserOwned",
        "duplicateruleconditionid",
        "baseattributename",
        CONDITION,
        can_be_tracked=False,
    ),
)
