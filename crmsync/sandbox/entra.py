"""Entra ID on loopback: discovery document, signing keys, and the token endpoint for client credentials.

A registered application signs in with its secret or with a certificate assertion; every refusal has Entra's
error body. The texts are Entra's own, shortened where they only repeat portal hints.

Rules: "Microsoft identity platform and the OAuth 2.0 client credentials flow", "Microsoft identity platform
application authentication certificate credentials" and "Microsoft Entra authentication and authorization
error codes".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from crmsync.sandbox.core import (
    TOKEN_LIFETIME,
    AppRegistration,
    Clock,
    Directory,
    find_directory,
    signing_key,
)
from crmsync.sandbox.entra_errors import EntraRefusal, refusal_body

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})
_GUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_DOMAIN = re.compile(r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")


class Entra:
    """The sign-in service over a list of tenants, at one origin (``https://localhost:PORT``)."""

    def __init__(self, origin: str, directories: list[Directory], clock: Clock) -> None:
        self.origin = origin
        self.directories = directories
        self.clock = clock

    def routes(self) -> list[Route]:
        """What the service answers, to be mounted beside others on the same port."""
        return [
            Route("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
            Route("/{tenant}/discovery/v2.0/keys", self._keys),
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
        ]

    async def _discovery(self, request: Request) -> JSONResponse:
        try:
            tenant = self._tenant_segment(request.path_params["tenant"])
        except EntraRefusal as refusal:
            return self._refused(refusal)
        base = f"{self.origin}/{tenant}"
        return JSONResponse(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                ],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["pairwise"],
            }
        )

    async def _keys(self, _request: Request) -> JSONResponse:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": "sandbox", "use": "sig"}]})

    async def _token(self, request: Request) -> JSONResponse:
        body = (await request.body()).decode("utf-8", "replace")
        form = dict(parse_qsl(body, keep_blank_values=True))
        try:
            return JSONResponse(self._sign_in(request.path_params["tenant"], form), headers=_NO_STORE)
        except EntraRefusal as refusal:
            return self._refused(refusal, form.get("client-request-id") or request.headers.get("client-request-id"))

    def _sign_in(self, tenant: str, form: Mapping[str, str]) -> dict[str, object]:
        """The token answer; the checks come in the order in which Entra reports them."""
        for name in ("grant_type", "client_id"):
            if not form.get(name):
                raise EntraRefusal(900144, name=name)
        segment = self._tenant_segment(tenant)
        if form["grant_type"] != "client_credentials":
            raise EntraRefusal(70003, grant=form["grant_type"])
        directory = find_directory(self.directories, segment)
        if directory is None:
            raise EntraRefusal(9001023)
        if not form.get("scope"):
            raise EntraRefusal(900144, name="scope")
        audience = _resource(form["scope"])
        app = directory.apps.get(form["client_id"].lower())
        if app is None:
            raise EntraRefusal(700016, client=form["client_id"], tenant=directory.domain)
        if not app.enabled:
            raise EntraRefusal(7000112, client=app.client_id, name=app.display_name)
        if audience not in directory.resources:
            raise EntraRefusal(500011, resource=audience, tenant=directory.domain)
        self._authenticate(app, form)
        token = directory.issue(app, audience, self.clock.now())
        return {
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME,
            "ext_expires_in": TOKEN_LIFETIME,
            "access_token": token,
        }

    def _tenant_segment(self, tenant: str) -> str:
        """The tenant as the URL names it; raises for one that is malformed or unknown."""
        name = tenant.lower()
        if name in SHARED_TENANTS:
            return name
        if not (_GUID.match(name) or _DOMAIN.match(name)):
            raise EntraRefusal(900023, tenant=tenant)
        if find_directory(self.directories, name) is None:
            raise EntraRefusal(90002, tenant=tenant)
        return name

    def _authenticate(self, app: AppRegistration, form: Mapping[str, str]) -> None:
        if form.get("client_assertion"):
            self._check_assertion(app, form)
        elif not form.get("client_secret"):
            raise EntraRefusal(7000218)
        elif not secrets.compare_digest(form["client_secret"].encode(), app.secret.encode()):
            raise EntraRefusal(7000215, client=app.client_id)
        elif app.secret_expired:
            raise EntraRefusal(7000222, client=app.client_id)

    def _check_assertion(self, app: AppRegistration, form: Mapping[str, str]) -> None:
        """A JWT signed with a registered certificate's key, whose thumbprint is in the header."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise EntraRefusal(900144, name="client_assertion_type")
        assertion = form["client_assertion"]
        try:
            header = jwt.get_unverified_header(assertion)
            named = {str(header[name]).rstrip("=") for name in ("x5t", "x5t#S256") if name in header}
            certificate = next(c for c in app.certificates if named & c.thumbprints)
            claims = jwt.decode(
                assertion,
                certificate.public_key,
                algorithms=["RS256", "PS256"],
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
            )
        except (jwt.InvalidTokenError, StopIteration):
            raise EntraRefusal(700027, client=app.client_id) from None
        if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
            raise EntraRefusal(700027, client=app.client_id)
        if not str(claims.get("aud", "")).startswith(self.origin):
            raise EntraRefusal(700027, client=app.client_id)

    def _refused(self, refusal: EntraRefusal, correlation_id: str | None = None) -> JSONResponse:
        body = refusal_body(refusal, self.clock.now(), correlation_id)
        return JSONResponse(body, status_code=refusal.status, headers=_NO_STORE)


_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def _resource(scope: str) -> str:
    """The organization URL in ``{url}/.default``; client credentials take exactly one such scope."""
    scopes = scope.split()
    if len(scopes) != 1 or not scopes[0].endswith("/.default"):
        raise EntraRefusal(1002012, scope=scope)
    resource = scopes[0].removesuffix("/.default").rstrip("/").lower()
    if not resource.startswith(("https://", "api://")):
        raise EntraRefusal(70011, scope=scope)
    return resource


def entra_app(origin: str, directories: list[Directory], clock: Clock) -> Starlette:
    """The service as an ASGI application of its own."""
    return Starlette(routes=Entra(origin, directories, clock).routes())
