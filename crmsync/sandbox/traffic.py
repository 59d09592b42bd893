"""How many requests came in, by service, tenant, method and path: the proof that a second sync writes
nothing.

Paths are counted as templates: identifiers in them are replaced by ``{id}``. A POST with ``_method=GET`` in
its URL is counted as the GET that it is ("Marketo REST API, Error Codes", on URIs that are too long).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Scope

from crmsync.sandbox.faults import Service, Traffic

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"(?<=/)\d+(?=[./]|$)")


def traffic_of(scope: Scope, service: Service, tenant: str | None) -> Traffic:
    """What a fault rule and the counters see of a request."""
    method = scope["method"].upper()
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if method == "POST" and query.get("_method") == ["GET"]:
        method = "GET"
    return Traffic(service, tenant, method, scope["path"])


def template(path: str) -> str:
    """The path with its identifiers replaced."""
    return _NUMBER.sub("{id}", _GUID.sub("{id}", path))


class Counters:
    """Requests and their answers since the start or the last reset."""

    def __init__(self) -> None:
        self._requests: Counter[Traffic] = Counter()
        self._answers: dict[Traffic, Counter[str]] = {}

    def count(self, traffic: Traffic, status: int | None) -> None:
        """One request and the HTTP status it got; None where it got no answer."""
        key = Traffic(traffic.service, traffic.tenant, traffic.method, template(traffic.path))
        self._requests[key] += 1
        self._answers.setdefault(key, Counter())[str(status or "none")] += 1

    def reset(self) -> None:
        """Start to count anew."""
        self._requests.clear()
        self._answers.clear()

    def as_json(self) -> dict[str, Any]:
        """Every line, and per tenant and service how many requests could have written something."""
        lines = sorted(self._requests, key=lambda t: (t.service, t.tenant or "", t.path, t.method))
        writes: dict[str, dict[str, int]] = {}
        for key in lines:
            if key.service != "entra" and key.tenant is not None:
                counts = writes.setdefault(key.tenant, {"dynamics": 0, "marketo": 0})
                counts[key.service] += self._requests[key] if _may_write(key) else 0
        requests = [
            {
                "service": key.service,
                "tenant": key.tenant,
                "method": key.method,
                "path": key.path,
                "count": self._requests[key],
                "answers": dict(sorted(self._answers[key].items())),
            }
            for key in lines
        ]
        return {"requests": requests, "writes": writes}


def _may_write(traffic: Traffic) -> bool:
    return traffic.method in WRITES and not traffic.path.startswith("/identity/")
