"""The sandbox's own page, for whoever runs it: faults, the clock, administrators' switches, and request
counters.

It stands for what is out of the public APIs' reach: Entra's portal (app registrations), Marketo's admin
screens (API roles, native sync), the passing of time, and bad luck. ``GET {admin_url}/`` explains every page
with an example.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from crmsync.sandbox.admin_forms import (
    AdminWrong,
    AppChange,
    ClockChange,
    Deletion,
    NewField,
    NewList,
    NewName,
    NewRefusal,
    NewType,
    SwitchChange,
    read_form,
)
from crmsync.sandbox.admin_guide import guide
from crmsync.sandbox.core import PERMISSIONS, AppRegistration, Clock, Refusal, RegisteredCertificate
from crmsync.sandbox.dataverse.switches import SWITCHES as DYNAMICS_SWITCHES
from crmsync.sandbox.faults import FaultRule
from crmsync.sandbox.frontdoor import Desk
from crmsync.sandbox.marketo.lists import StaticList
from crmsync.sandbox.marketo.service import Marketo
from crmsync.sandbox.marketo.switches import SWITCHES
from crmsync.sandbox.world import SandboxTenant, new_app


class Administration:
    """The admin pages over the sandbox's tenants and their subscriptions at work."""

    def __init__(
        self, tenants: dict[str, SandboxTenant], marketo: dict[str, Marketo], clock: Clock, desk: Desk
    ) -> None:
        self._tenants = tenants
        self._marketo = marketo
        self._clock = clock
        self._desk = desk

    def routes(self) -> BaseRoute:
        """The pages, below ``/admin``."""
        pages = [
            Route("/", self._guide),
            Route("/faults", self._add_fault, methods=["POST"]),
            Route("/faults", self._list_faults, methods=["GET"]),
            Route("/faults", self._clear_faults, methods=["DELETE"]),
            Route("/faults/{id:int}", self._clear_faults, methods=["DELETE"]),
            Route("/clock", self._clock_page, methods=["GET"]),
            Route("/clock", self._set_clock, methods=["POST"]),
            Route("/switches", self._switches_page, methods=["GET"]),
            Route("/switches", self._set_switches, methods=["POST"]),
            Route("/apps", self._apps_page, methods=["GET"]),
            Route("/apps", self._set_app, methods=["POST"]),
            Route("/fields", self._add_field, methods=["POST"]),
            Route("/field-types", self._change_type, methods=["POST"]),
            Route("/lists", self._lists_page, methods=["GET"]),
            Route("/lists", self._add_list, methods=["POST"]),
            Route("/deletions", self._delete, methods=["POST"]),
            Route("/lists/{tenant}/{id:int}", self._rename_list, methods=["POST"]),
            Route("/lists/{tenant}/{id:int}", self._delete_list, methods=["DELETE"]),
            Route("/refusals", self._refusals_page, methods=["GET"]),
            Route("/refusals", self._add_refusal, methods=["POST"]),
            Route("/refusals", self._clear_refusals, methods=["DELETE"]),
            Route("/requests", self._requests_page, methods=["GET"]),
            Route("/requests", self._reset_requests, methods=["DELETE"]),
        ]
        return Mount("/admin", routes=pages)

    @staticmethod
    def error_handlers() -> dict[Any, Any]:
        """How Starlette shall answer what these pages raise."""

        async def answer(_request: Request, error: Exception) -> JSONResponse:
            assert isinstance(error, AdminWrong)
            return error.answer

        return {AdminWrong: answer}

    async def _guide(self, _request: Request) -> JSONResponse:
        return JSONResponse(guide(sorted(self._tenants)))

    async def _add_fault(self, request: Request) -> JSONResponse:
        rule = await read_form(request, FaultRule, "faults")
        if rule.tenant is not None:
            self._tenant(rule.tenant)
        return JSONResponse(self._desk.faults.add(rule).as_json(), status_code=201)

    async def _list_faults(self, _request: Request) -> JSONResponse:
        return JSONResponse({"faults": [fault.as_json() for fault in self._desk.faults.all()]})

    async def _clear_faults(self, request: Request) -> JSONResponse:
        removed = self._desk.faults.remove(request.path_params.get("id"))
        if not removed and "id" in request.path_params:
            raise AdminWrong(404, ["GET {admin_url}/faults lists the faults and their ids."])
        return JSONResponse({"removed": removed})

    async def _clock_page(self, _request: Request) -> JSONResponse:
        return JSONResponse({"now": self._clock.now().isoformat().replace("+00:00", "Z")})

    async def _set_clock(self, request: Request) -> JSONResponse:
        change = await read_form(request, ClockChange, "clock")
        if isinstance(change.now, datetime):
            self._clock.set(change.now)
        else:
            self._clock.advance(change.advance_seconds or 0.0)
        return await self._clock_page(request)

    async def _switches_page(self, _request: Request) -> JSONResponse:
        return JSONResponse({name: _switches(tenant) for name, tenant in self._tenants.items()})

    async def _set_switches(self, request: Request) -> JSONResponse:
        change = await read_form(request, SwitchChange, "switches")
        tenant = self._tenant(change.tenant)
        subscription = tenant.subscription
        others = dict(change.model_extra or {})
        _check_switches(others)
        if change.permissions is not None:
            _check_names("permission", change.permissions, set(PERMISSIONS))
            subscription.permissions.clear()
            subscription.permissions.update(change.permissions)
        if change.native_sync is not None:
            subscription.native_sync = change.native_sync
        for name, value in others.items():
            holder = tenant.organization.switches if name in DYNAMICS_SWITCHES else subscription.switches
            holder[name] = value
        return JSONResponse(_switches(tenant))

    async def _apps_page(self, _request: Request) -> JSONResponse:
        return JSONResponse(
            {name: [_app(app) for app in tenant.directory.apps.values()] for name, tenant in self._tenants.items()}
        )

    async def _set_app(self, request: Request) -> JSONResponse:
        """Change an app registration, or make one and tell its secret, once, as Entra's portal does."""
        change = await read_form(request, AppChange, "apps")
        directory = self._tenant(change.tenant).directory
        if change.client_id is not None and change.client_id not in directory.apps:
            raise AdminWrong(404, ["GET {admin_url}/apps lists the app registrations."])
        created = change.client_id is None
        app = new_app(random.SystemRandom(), "New app") if created else directory.apps[str(change.client_id)]
        _change_app(app, change)
        directory.register(app)
        answer = _app(app) | ({"client_secret": app.secret} if created else {})
        return JSONResponse(answer, status_code=201 if created else 200)

    async def _add_field(self, request: Request) -> JSONResponse:
        field = await read_form(request, NewField, "fields")
        marketo = self._marketo[self._tenant(field.tenant).name]
        known = marketo.fields[field.target]
        if field.name.lower() in known.names() or field.display_name.lower() in known.display_names():
            raise AdminWrong(422, ["name, display_name: a field of that name exists already; take another"])
        marketo.add_field(field.target, field.name, field.display_name, field.type)
        return JSONResponse(field.model_dump(), status_code=201)

    async def _change_type(self, request: Request) -> JSONResponse:
        change = await read_form(request, NewType, "field-types")
        marketo = self._marketo[self._tenant(change.tenant).name]
        field = marketo.fields[change.target].defined(change.name)
        if field is None or not field.custom:
            raise AdminWrong(422, ["name: only a custom field that is there can have another type"])
        marketo.change_type(change.target, field, change.type)
        return JSONResponse(change.model_dump())

    async def _lists_page(self, _request: Request) -> JSONResponse:
        return JSONResponse(
            {name: [each.as_json() for each in marketo.lists.all()] for name, marketo in self._marketo.items()}
        )

    async def _add_list(self, request: Request) -> JSONResponse:
        made = await read_form(request, NewList, "lists")
        marketo = self._marketo[self._tenant(made.tenant).name]
        _check_list_name(marketo, made.name, made.program)
        return JSONResponse(marketo.add_list(made.name, made.description, made.program).as_json(), status_code=201)

    async def _rename_list(self, request: Request) -> JSONResponse:
        wanted = await read_form(request, NewName, "list-names")
        marketo, found = self._list(request)
        _check_list_name(marketo, wanted.name, found.program)
        return JSONResponse(marketo.lists.rename(found.id, wanted.name, marketo.moment()).as_json())

    async def _delete_list(self, request: Request) -> JSONResponse:
        marketo, found = self._list(request)
        marketo.lists.delete(found.id)
        return JSONResponse({"removed": 1})

    def _list(self, request: Request) -> tuple[Marketo, StaticList]:
        marketo = self._marketo[self._tenant(request.path_params["tenant"]).name]
        if (found := marketo.lists.by_id(request.path_params["id"])) is None:
            raise AdminWrong(404, ["GET {admin_url}/lists lists the static lists and their ids."])
        return marketo, found

    async def _delete(self, request: Request) -> JSONResponse:
        deletion = await read_form(request, Deletion, "deletions")
        marketo = self._marketo[self._tenant(deletion.tenant).name]
        if not marketo.tidy_up(deletion.target, deletion.key):
            raise AdminWrong(422, [f"key: there is no {deletion.target} of that external id"])
        return JSONResponse(deletion.model_dump())

    async def _refusals_page(self, _request: Request) -> JSONResponse:
        return JSONResponse(
            {
                name: {
                    "marketo": [asdict(each) for each in tenant.subscription.refusals],
                    "dynamics": [asdict(each) for each in tenant.organization.refusals],
                }
                for name, tenant in self._tenants.items()
            }
        )

    async def _add_refusal(self, request: Request) -> JSONResponse:
        new = await read_form(request, NewRefusal, "refusals")
        tenant, is_marketo = self._tenant(new.tenant), new.service == "marketo"
        code = new.code or ("1003" if is_marketo else "0x80040265")
        refusals = tenant.subscription.refusals if is_marketo else tenant.organization.refusals
        refusals.append(Refusal(new.field, code, new.message, new.value))
        return JSONResponse(asdict(refusals[-1]), status_code=201)

    async def _clear_refusals(self, _request: Request) -> JSONResponse:
        for tenant in self._tenants.values():
            tenant.subscription.refusals.clear()
            tenant.organization.refusals.clear()
        return JSONResponse({})

    async def _requests_page(self, _request: Request) -> JSONResponse:
        return JSONResponse(self._desk.counters.as_json())

    async def _reset_requests(self, _request: Request) -> JSONResponse:
        self._desk.counters.reset()
        return JSONResponse(self._desk.counters.as_json())

    def _tenant(self, name: str) -> SandboxTenant:
        if name not in self._tenants:
            raise AdminWrong(422, [f"tenant: this sandbox serves {', '.join(sorted(self._tenants))}, not '{name}'"])
        return self._tenants[name]


def _check_list_name(marketo: Marketo, name: str, program: str | None) -> None:
    taken = [(each.name.lower(), (each.program or "").lower()) for each in marketo.lists.all()]
    if (name.lower(), (program or "").lower()) in taken:
        raise AdminWrong(422, ["name: a static list of that name exists there already; take another"])


def _check_names(what: str, given: set[str], known: set[str]) -> None:
    if unknown := sorted(given - known):
        raise AdminWrong(422, [f"{name}: no {what} of that name; there are {sorted(known)}" for name in unknown])


def _check_switches(given: dict[str, Any]) -> None:
    known = {**SWITCHES, **DYNAMICS_SWITCHES}
    _check_names("switch", set(given), set(known))
    for name, value in given.items():
        answers = known[name]
        number = type(answers[0]) is int and type(value) is int
        if not number and not any(value == answer and type(value) is type(answer) for answer in answers):
            raise AdminWrong(422, [f"{name}: takes {' or '.join(json.dumps(answer) for answer in answers)}"])


def _switches(tenant: SandboxTenant) -> dict[str, Any]:
    subscription, organization = tenant.subscription, tenant.organization
    switches = {"native_sync": subscription.native_sync, "permissions": sorted(subscription.permissions)}
    defaults = {name: answers[0] for name, answers in (*SWITCHES.items(), *DYNAMICS_SWITCHES.items())}
    return {**switches, **defaults, **subscription.switches, **organization.switches}


def _change_app(app: AppRegistration, change: AppChange) -> None:
    if change.certificate is not None:
        certificate = RegisteredCertificate(change.certificate)
        try:
            usable = bool(certificate.public_key and certificate.thumbprints)
        except ValueError:
            usable = False
        if not usable:
            raise AdminWrong(422, ["certificate: give the public certificate (RSA) as PEM text"])
        app.certificates.append(certificate)
    app.display_name = app.display_name if change.display_name is None else change.display_name
    app.enabled = app.enabled if change.enabled is None else change.enabled
    app.secret_expired = app.secret_expired if change.secret_expired is None else change.secret_expired


def _app(app: AppRegistration) -> dict[str, Any]:
    return {
        "client_id": app.client_id,
        "object_id": app.object_id,
        "display_name": app.display_name,
        "enabled": app.enabled,
        "secret_expired": app.secret_expired,
        "certificates": len(app.certificates),
    }
