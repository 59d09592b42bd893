"""Every way in which Entra ID refuses a sign-in, as one table: the AADSTS number, our error, and what a person does.

Microsoft says that numbers and texts may change and that programs should look at ``error``; so that member is the
fallback when a number is unknown. Facts: "Microsoft Entra authentication and authorization error codes" and "Use
single-tenant server-to-server authentication" (Microsoft's documents).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crmsync.errors import (
    CredentialsRefused,
    CrmsyncError,
    EntraTenantUnknown,
    OrganizationUrlWrong,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)

_NUMBER = re.compile(r"AADSTS(\d{1,9})")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

WHERE_SECRETS_ARE = "Entra admin center > App registrations > your application > Certificates & secrets"
SECRET_ID_PASTED = (
    "What is stored looks like the secret's id, not its value. Entra shows the value only once, when the secret is "
    f"made: make a new one ({WHERE_SECRETS_ARE}), copy the column 'Value', and put it where the tenant file says."
)


@dataclass(frozen=True)
class Refusal:
    """One row: ``number`` is what follows AADSTS, ``meaning`` what is wrong, ``remedy`` what a person does about it."""

    number: int
    error: type[CrmsyncError]
    meaning: str
    remedy: str


_NEW_SECRET = f"Make a new client secret ({WHERE_SECRETS_ARE}) and put its value where the tenant file says."
_USER_FLOW = (
    "crmsync signs in as an application: check that client_id and client_secret are those of an app registration."
)
_ORGANIZATION = (
    "Check organization_url (it looks like https://contoso.crm.dynamics.com) and that the organization belongs to the "
    "Entra tenant in entra_tenant_id."
)
_TENANT = "Check entra_tenant_id: Entra admin center > Overview shows it as 'Tenant ID'; a verified domain works too."

REFUSALS: tuple[Refusal, ...] = (
    Refusal(7000215, CredentialsRefused, "The client secret is wrong.",
            "Put the secret's value (not its id) where the tenant file says; if it is lost, make a new one: "
            f"{WHERE_SECRETS_ARE}."),
    Refusal(7000222, CredentialsRefused, "The client secret has expired.", _NEW_SECRET),
    Refusal(7000218, CredentialsRefused, "No client secret and no certificate was sent.", _NEW_SECRET),
    Refusal(7000216, CredentialsRefused, "No client secret and no certificate was sent.", _NEW_SECRET),
    Refusal(700027, CredentialsRefused, "The certificate is not one of the application's, or the key does not fit it.",
            f"Upload the certificate ({WHERE_SECRETS_ARE}) and name its key and thumbprint in the tenant file."),
    Refusal(700016, CredentialsRefused, "Entra ID knows no application of that client id in this tenant.",
            "Check client_id ('Application (client) ID' of the app registration) and entra_tenant_id: they must belong "
            "together."),
    Refusal(70001, CredentialsRefused, "The application is disabled, or not in this tenant.",
            "Enable it (Entra admin center > Enterprise applications > Properties), or correct client_id."),
    Refusal(7000112, CredentialsRefused, "The application is disabled.",
            "Enable it: Entra admin center > Enterprise applications > Properties > Enabled for users to sign in."),
    Refusal(90002, EntraTenantUnknown, "Entra ID knows no such tenant.", _TENANT),
    Refusal(900023, EntraTenantUnknown, "The Entra tenant id is neither an id nor a domain.", _TENANT),
    Refusal(9001023, EntraTenantUnknown, "An application cannot sign in to 'common' or 'organizations'.",
            _TENANT),
    Refusal(500011, OrganizationUrlWrong, "Entra ID knows no organization of that URL in this tenant.", _ORGANIZATION),
    Refusal(70011, OrganizationUrlWrong, "Entra ID does not accept the organization URL as a scope.", _ORGANIZATION),
    Refusal(1002012, OrganizationUrlWrong, "Entra ID does not accept the organization URL as a scope.", _ORGANIZATION),
    Refusal(900144, RequestRefused, "The sign-in request lacked a field.", RequestRefused.default_remedy),
    Refusal(90055, Throttled, "Entra ID is throttling this tenant.", "Wait a few minutes."),
    Refusal(50034, CredentialsRefused, "The user does not exist.", _USER_FLOW),
    Refusal(50126, CredentialsRefused, "The user's password is wrong.", _USER_FLOW),
    Refusal(50056, CredentialsRefused, "The user has no password in this directory.", _USER_FLOW),
    Refusal(50076, CredentialsRefused, "The user must sign in with a second factor.", _USER_FLOW),
    Refusal(50079, CredentialsRefused, "The user must set up a second factor.", _USER_FLOW),
)  # fmt: skip

_BY_NUMBER = {row.number: row for row in REFUSALS}

_BY_ERROR: Mapping[str, Refusal] = {
    "invalid_client": _BY_NUMBER[7000215],
    "unauthorized_client": _BY_NUMBER[700016],
    "invalid_tenant": _BY_NUMBER[90002],
    "invalid_resource": _BY_NUMBER[500011],
    "invalid_scope": _BY_NUMBER[70011],
    "invalid_request": _BY_NUMBER[900144],
}
_TEMPORARY = Refusal(0, ServiceUnavailable, "Entra ID is temporarily unavailable.", "Wait a few minutes.")
_UNKNOWN = Refusal(0, CredentialsRefused, "Entra ID refused the sign-in.",
                   "Look the code up at https://login.microsoftonline.com/error; then correct the application or the "
                   "tenant file.")  # fmt: skip


def error_from_answer(answer: Mapping[str, Any], *, tenant: str, secret_value: str | None = None) -> CrmsyncError:
    """The error for a token endpoint's answer (``error``, ``error_description``, ``error_codes``).

    ``secret_value`` is only looked at, to tell the commonest mistake (the secret's id was pasted); it goes nowhere.
    """
    description = str(answer.get("error_description") or "")
    numbers = _numbers(answer)
    kind = str(answer.get("error") or "")
    row = next((_BY_NUMBER[number] for number in numbers if number in _BY_NUMBER), None) or _BY_ERROR.get(kind)
    if row is None:
        row = _TEMPORARY if kind == "temporarily_unavailable" else _UNKNOWN
    pasted_id = row.number == 7000215 and secret_value is not None and _GUID.fullmatch(secret_value.strip())
    first = description.split(" Trace ID:")[0].splitlines()[0].strip() if description else kind
    return row.error(
        f"{row.meaning} Entra ID said: {first}",
        remedy=SECRET_ID_PASTED if pasted_id else row.remedy,
        tenant=tenant,
        code=f"AADSTS{numbers[0]}" if numbers else kind or None,
        request_id=answer.get("correlation_id") or answer.get("trace_id"),
    )


def is_entras(answer: Mapping[str, Any]) -> bool:
    """Whether a refusal is Entra ID's own: it has one of its numbers, or a kind that is known of it."""
    return bool(_numbers(answer)) or answer.get("error") in (*_BY_ERROR, "temporarily_unavailable")


def _numbers(answer: Mapping[str, Any]) -> list[int]:
    description = str(answer.get("error_description") or "")
    return [*(answer.get("error_codes") or ()), *(int(found) for found in _NUMBER.findall(description))]
