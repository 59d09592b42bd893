"""Signs in to Dataverse as an application: MSAL gets the token, httpx carries it.

MSAL is synchronous, so it runs in a worker thread, over an httpx client of its own with the same certificates as the
rest. The object of one client lives as long as that client: MSAL replays refusals of Entra ID for a minute, which would
make "I corrected the secret, try again" fail. For the same reason it is made anew after each failure.

Facts: "Use OAuth authentication with Microsoft Dataverse" and MSAL for Python's own source. What Entra ID says is
looked at before MSAL sees it (``crmsync.dynamics.entra_http``).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import httpx
import msal
from msal.oauth2cli import JwtAssertionCreator
from pydantic import SecretStr

from crmsync.dynamics.entra import error_from_answer
from crmsync.dynamics.entra_http import EntraHttp
from crmsync.dynamics.errors import causes
from crmsync.errors import (
    CredentialsRefused,
    CrmsyncError,
    TenantFileWrong,
    TransportFailed,
)
from crmsync.tenants import DynamicsConnection

RENEW_BEFORE = 300.0
"""A token with less than this many seconds left counts as expired, as it does for MSAL."""


@dataclass(frozen=True)
class ClientSecret:
    """An application's client secret."""

    value: SecretStr


@dataclass(frozen=True)
class ClientCertificate:
    """A PEM private key and the hexadecimal thumbprint of its certificate: SHA-256 (64 digits) or SHA-1 (40)."""

    private_key: SecretStr
    thumbprint: str


Credential = ClientSecret | ClientCertificate


@dataclass
class _Token:
    value: str = field(repr=False)
    good_until: float


class EntraAuth(httpx.Auth):
    """Puts a bearer token on each request. A 401 drops the token and asks once again; a second 401 is final.

    ``cache`` may be shared by clients of the same tenant and secret to save the sign-in; ``validate`` never shares it.
    """

    def __init__(
        self,
        connection: DynamicsConnection,
        credential: Credential,
        *,
        tenant: str,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
        cache: msal.TokenCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._credential = credential
        self._tenant = tenant
        self._authority = f"{connection.authority}/{connection.entra_tenant_id}"
        self._scope = f"{connection.organization_url}/.default"
        self._cache = cache if cache is not None else msal.TokenCache()
        self._clock = clock
        http = httpx.Client(verify=verify, transport=transport, timeout=30.0)
        self._http = EntraHttp(http, tenant=tenant, refused=self._refused)
        self._application: msal.ConfidentialClientApplication | None = None
        self._token: _Token | None = None
        self._lock = asyncio.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("EntraAuth is for httpx.AsyncClient")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The token, the request; on 401 a new token and the request once again."""
        token = await self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {await self.token(refused=token)}"
            yield request

    async def token(self, *, refused: str | None = None) -> str:
        """A token that is good for five minutes at least and is not ``refused``; raises our errors."""
        if (token := self._usable(refused)) is not None:
            return token
        async with self._lock:
            if (token := self._usable(refused)) is not None:
                return token
            answer = await asyncio.to_thread(self._sign_in, drop=refused is not None)
            lifetime = float(answer["expires_in"])
            self._token = _Token(answer["access_token"], self._clock() + max(lifetime - RENEW_BEFORE, lifetime / 2))
            return self._token.value

    async def aclose(self) -> None:
        """Close the connections to Entra ID."""
        self._http.close()

    def _usable(self, refused: str | None) -> str | None:
        token = self._token
        if token is None or token.value == refused or self._clock() >= token.good_until:
            return None
        return token.value

    def address_is_proven(self) -> None:
        """Entra ID has answered here before: what another answers now will pass."""
        self._http.answered = True

    def _refused(self, refusal: dict[str, Any]) -> CrmsyncError:
        secret = self._credential.value.get_secret_value() if isinstance(self._credential, ClientSecret) else None
        return error_from_answer(refusal, tenant=self._tenant, secret_value=secret)

    def _sign_in(self, *, drop: bool) -> dict[str, Any]:
        try:
            if self._application is None:
                self._application = self._new_application()
            if drop:
                self._application.remove_tokens_for_client()
            answer: dict[str, Any] = self._application.acquire_token_for_client(scopes=[self._scope])
        except CrmsyncError:
            self._application = None
            raise
        except Exception as error:  # MSAL has errors of its own and lets those of Python through
            self._application = None
            raise self._named(error) from error
        if not isinstance(answer.get("access_token"), str) or not isinstance(answer.get("expires_in"), int):
            self._application = None
            raise TransportFailed("MSAL made no token out of Entra ID's answer", tenant=self._tenant)
        return answer

    def _new_application(self) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            self._connection.client_id,
            authority=self._authority,
            client_credential=self._msal_credential(),
            token_cache=self._cache,
            http_client=self._http,
            instance_discovery=False,
        )

    def _msal_credential(self) -> str | dict[str, Any]:
        if isinstance(self._credential, ClientSecret):
            return self._credential.value.get_secret_value()
        key = self._credential.private_key.get_secret_value()
        thumbprint = self._credential.thumbprint.replace(":", "").replace(" ", "")
        hashed = "sha256_thumbprint" if len(thumbprint) == 64 else "sha1_thumbprint"
        algorithm = "PS256" if len(thumbprint) == 64 else "RS256"

        def assertion() -> str:
            creator = JwtAssertionCreator(key, algorithm=algorithm, **{hashed: thumbprint})
            signed: bytes = creator.create_normal_assertion(
                audience=f"{self._authority}/oauth2/v2.0/token", issuer=self._connection.client_id
            )
            return signed.decode("ascii")

        try:
            assertion()  # so that an unreadable key is told apart from what Entra ID may say
        except Exception as error:
            raise _CertificateUnreadable from error
        return {"client_assertion": assertion}

    def _named(self, error: Exception) -> CrmsyncError:
        """Our error for what MSAL, or the HTTP client below it, raised."""
        if isinstance(error, _CertificateUnreadable):
            return CredentialsRefused(
                "The private key or the thumbprint of the certificate cannot be read",
                remedy="Give an unencrypted PEM private key ('BEGIN PRIVATE KEY') and its certificate's thumbprint in "
                "hexadecimal digits.",
                tenant=self._tenant,
            )
        host = self._connection.authority
        untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))
        if untrusted and not self._http.answered:
            return TenantFileWrong(
                f"The certificate that Entra ID at {host} shows is not trusted",
                remedy="If a proxy inspects your traffic, name its certificate authority as 'ca_file' in the tenant "
                "file.",
                tenant=self._tenant,
            )
        if isinstance(error, httpx.HTTPError):
            return TransportFailed(
                f"Entra ID at {host} gave no answer: {type(error).__name__}: {error}",
                remedy="Check the network, proxy and firewall between this machine and Entra ID, and 'authority' and "
                "'ca_file' in the tenant file if they are set.",
                tenant=self._tenant,
            )
        return TransportFailed(
            f"Entra ID's answer was not understood: {type(error).__name__}",
            remedy="Nothing, if it passes; crmsync tries again by itself. If it stays, check 'authority' in the tenant "
            "file if it is set, and report it.",
            tenant=self._tenant,
        )


class _CertificateUnreadable(ValueError):
    pass
