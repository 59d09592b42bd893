"""The four usage calls: calls by user and errors by code, today and in the last seven days.

"Usage". Whether these calls count themselves is not said; they do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.envelope import Answer

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.call import Call
    from crmsync.sandbox.marketo.service import Marketo

LAST_DAYS = 7


async def usage_today(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/stats/usage.json``."""
    return Answer([_usage(marketo, 0)])


async def usage_last_days(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/stats/usage/last7days.json``."""
    return Answer([_usage(marketo, ago) for ago in range(LAST_DAYS)])


async def errors_today(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/stats/errors.json``."""
    return Answer([_errors(marketo, 0)])


async def errors_last_days(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/stats/errors/last7days.json``."""
    return Answer([_errors(marketo, ago) for ago in range(LAST_DAYS)])


def _usage(marketo: Marketo, days_ago: int) -> dict[str, Any]:
    day, rows = _rows(marketo, "SELECT user, count FROM usage WHERE day = ? AND count > 0 ORDER BY user", days_ago)
    users = [{"userId": user, "count": count} for user, count in rows]
    return {"date": day, "total": sum(count for _, count in rows), "users": users}


def _errors(marketo: Marketo, days_ago: int) -> dict[str, Any]:
    day, rows = _rows(marketo, "SELECT code, count FROM errors WHERE day = ? ORDER BY code", days_ago)
    errors = [{"errorCode": code, "count": count} for code, count in rows]
    return {"date": day, "total": sum(count for _, count in rows), "errors": errors}


def _rows(marketo: Marketo, statement: str, days_ago: int) -> tuple[str, list[tuple[str, int]]]:
    day = (marketo.quota.today() - timedelta(days=days_ago)).isoformat()
    return day, marketo.database.connection.execute(statement, (day,)).fetchall()
