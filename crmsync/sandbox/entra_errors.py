"""Entra's refusals as one table: AADSTS number, HTTP status, OAuth error, and the text with its blanks.

"Microsoft Entra authentication and authorization error codes"; the shape of the body is "Handling error codes
in your application" on the same page.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class _Row:
    status: int
    error: str
    text: str


REFUSALS: dict[int, _Row] = {
    70003: _Row(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant}'."),
    70011: _Row(
        400,
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the input "
        "parameter 'scope' is not valid. The scope {scope} is not valid.",
    ),
    90002: _Row(
        400,
        "invalid_tenant",
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing "
        "into the correct cloud. Check with your subscription administrator, this may happen if there are "
        "no active subscriptions for the tenant.",
    ),
    500011: _Row(
        400,
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can "
        "happen if the application has not been installed by the administrator of the tenant or consented "
        "to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
    ),
    700016: _Row(
        400,
        "unauthorized_client",
        "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen "
        "if the application has not been installed by the administrator of the tenant or consented to by "
        "any user in the tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    700027: _Row(
        401,
        "invalid_client",
        "The certificate with identifier used to sign the client assertion is not registered on "
        "application. [Reason - The key was not found., Please visit the Azure Portal to see the keys "
        "configured for application with Id '{client}'].",
    ),
    900023: _Row(
        400,
        "invalid_request",
        "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
    ),
    900144: _Row(400, "invalid_request", "The request body must contain the following parameter: '{name}'."),
    1002012: _Row(
        400,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope "
        "value with /.default suffixed to the resource identifier (application ID URI).",
    ),
    7000112: _Row(400, "unauthorized_client", "Application '{client}'({name}) is disabled."),
    7000215: _Row(
        401,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
        "value, not the client secret ID, for a secret added to app '{client}'.",
    ),
    7000218: _Row(
        401,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    7000222: _Row(
        401,
        "invalid_client",
        "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create "
        "new keys for your app, or consider using certificate credentials for added security.",
    ),
    9001023: _Row(
        400,
        "invalid_request",
        "The grant type is not supported over the /common or /consumers endpoints. Please use the "
        "/organizations or tenant-specific endpoint.",
    ),
}


class EntraRefusal(Exception):
    """One row of the table with its blanks filled."""

    def __init__(self, code: int, **blanks: str) -> None:
        row = REFUSALS[code]
        self.code = code
        self.status = row.status
        self.error = row.error
        self.text = row.text.format(**blanks)
        super().__init__(f"AADSTS{code}: {self.text}")


def refusal_body(refusal: EntraRefusal, now: datetime, correlation_id: str | None = None) -> dict[str, object]:
    """The JSON that Entra answers: the numbers stand in the text and in members of their own."""
    trace, correlation = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
    timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
    where = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
    return {
        "error": refusal.error,
        "error_description": f"{refusal} {where}",
        "error_codes": [refusal.code],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refusal.code}",
    }
