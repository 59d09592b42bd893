"""The identity endpoint: an access token for a client id and its secret.

"Authentication". The answers to a refusal are OAuth's, with HTTP 401 and without Marketo's envelope; calls are free of
the quota. Parameters stand in the query; a form body is taken too.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.call import BODY_BYTES, FORM, content_type, form_parameters, query_parameters, read_body
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.tokens import Tokens

PATH = "/identity/oauth/token"


async def answer(request: Request, subscription: Subscription, tokens: Tokens) -> Response:
    """The token, or why not."""
    if request.method not in ("GET", "POST"):
        raise MarketoError(605, request.method)
    parameters = query_parameters(request)
    if request.method == "POST" and content_type(request) == FORM:
        parameters = form_parameters(await read_body(request, BODY_BYTES)) | parameters
    grant, client, secret = (parameters.get(n, [""])[0] for n in ("grant_type", "client_id", "client_secret"))
    if client != subscription.client_id:
        return _refused("unauthorized", f"No client with requested id: {client}")
    if not hmac.compare_digest(secret.encode(), subscription.client_secret.encode()):
        return _refused("invalid_client", "Bad client credentials")
    if grant != "client_credentials":
        return _refused("unsupported_grant_type", f"Unsupported grant type: {grant}")
    token, left = tokens.issue()
    members = {"access_token": token, "token_type": "bearer", "expires_in": left, "scope": subscription.user_email}
    return JSONResponse(members, headers={"cache-control": "no-store"})


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 401)
