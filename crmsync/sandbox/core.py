"""What every part of the sandbox shares: clock, limits, Entra's directory, organization, subscription.

Nothing in the sandbox reads the system's time; all ask one ``Clock``, which an administrator can move, so
that tokens, sliding windows, days and delta links age when a test says so.

Tokens follow "Access tokens in the Microsoft identity platform" (version 1 tokens, as Dataverse takes them),
certificates "Microsoft identity platform application authentication certificate credentials".
"""

from __future__ import annotations

import base64
import functools
import hashlib
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.types import Options

TOKEN_LIFETIME = 3599
"""Seconds that an Entra access token of the client credentials grant lives."""

CLOCK_SKEW = 300
"""Seconds that Dataverse still takes an expired token, the usual allowance of the identity libraries."""

Latency = Literal["none", "typical"]
RefusalReason = Literal["malformed", "signature", "expired", "audience", "tenant"]


class Clock:
    """The sandbox's time: the system's, plus what an administrator added. Always aware, always UTC."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def now(self) -> datetime:
        """The same as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock forward (or back, with a negative number)."""
        self._ahead += seconds

    def set(self, to: datetime) -> None:
        """Make it ``to`` now; the clock runs on from there."""
        self._ahead = to.timestamp() - time.time()


@dataclass(frozen=True)
class Limits:
    """Which limits hold. ``documented`` False: no quota, rate or concurrency limit; sizes still hold."""

    documented: bool = True
    latency: Latency = "none"


@dataclass(frozen=True)
class RegisteredCertificate:
    """A public certificate uploaded to an app registration."""

    pem: str = field(repr=False)

    @functools.cached_property
    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.encode())

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """What verifies an assertion's signature."""
        key = self._certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("Entra takes RSA certificates only")
        return key

    @functools.cached_property
    def thumbprints(self) -> frozenset[str]:
        """base64url SHA-1 (header ``x5t``) and SHA-256 (header ``x5t#S256``) of the certificate."""
        der = self._certificate.public_bytes(Encoding.DER)
        digests = (hashlib.sha1(der, usedforsecurity=False).digest(), hashlib.sha256(der).digest())
        return frozenset(base64.urlsafe_b64encode(digest).decode().rstrip("=") for digest in digests)


@dataclass
class AppRegistration:
    """An app registration with its secret and its certificates, as Entra's portal shows it."""

    client_id: str
    secret: str = field(repr=False)
    display_name: str
    object_id: str
    enabled: bool = True
    secret_expired: bool = False
    certificates: list[RegisteredCertificate] = field(default_factory=list)


class TokenRefused(Exception):
    """An access token is not good for this organization: ``reason`` says why."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(f"The access token is refused: {reason}")
        self.reason: RefusalReason = reason


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    """Entra's key of this process; made once, because making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Directory:
    """An Entra tenant: its app registrations, and the organization URLs that have a principal in it."""

    tenant_id: str
    domain: str
    apps: dict[str, AppRegistration] = field(default_factory=dict)
    resources: set[str] = field(default_factory=set)
    _verified: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def register(self, *apps: AppRegistration) -> None:
        """Add app registrations."""
        self.apps.update({app.client_id: app for app in apps})

    def issue(self, app: AppRegistration, audience: str, now: datetime) -> str:
        """A bearer token for ``app``, good for ``audience`` (an organization URL without a final slash)."""
        seconds = int(now.timestamp())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant_id}/",
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + TOKEN_LIFETIME,
            "appid": app.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": app.object_id,
            "sub": app.object_id,
            "tid": self.tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        return jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": "sandbox"})

    def verify(self, token: str, audience: str, now: datetime) -> dict[str, Any]:
        """The claims (``appid``, ``tid``, ``oid``, ``exp`` ...) of a good token; raises ``TokenRefused``."""
        claims = self._verified.get(token) or self._decode(token)
        if claims["tid"] != self.tenant_id:
            raise TokenRefused("tenant")
        if str(claims["aud"]).rstrip("/") != audience.rstrip("/"):
            raise TokenRefused("audience")
        if now.timestamp() > claims["exp"] + CLOCK_SKEW:
            raise TokenRefused("expired")
        if len(self._verified) > 1000:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    @staticmethod
    def _decode(token: str) -> dict[str, Any]:
        options: Options = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
            "require": ["aud", "exp", "tid", "appid"],
        }
        try:
            return jwt.decode(token, signing_key().public_key(), algorithms=["RS256"], options=options)
        except jwt.InvalidSignatureError:
            raise TokenRefused("signature") from None
        except jwt.InvalidTokenError:
            raise TokenRefused("malformed") from None


@dataclass(frozen=True)
class Refusal:
    """A value that a service refuses in a field, as a plug-in, a business rule or a validation of its own does.

    ``value`` None: every value that is not empty. The message names neither the field nor the value unless it is told
    to.
    """

    field: str
    code: str
    message: str
    value: Any = None

    def concerns(self, values: Mapping[str, Any]) -> bool:
        """Whether one of these values is refused."""
        given = values.get(self.field)
        return given is not None and self.value in (None, given)


@dataclass
class Organization:
    """A Dynamics 365 organization: who it is, where it answers, which apps are application users at first."""

    name: str
    organization_id: str
    friendly_name: str
    url: str
    directory: Directory
    clock: Clock
    limits: Limits
    database: Path
    sync_app: AppRegistration
    admin_app: AppRegistration
    sync_user_email: str = ""
    prepared: bool = True
    """Whether it starts with the sync user, its role, the filter columns and change tracking on."""
    switches: dict[str, object] = field(default_factory=dict)
    """What an administrator set on the sandbox's own page; names and answers in ``dataverse.switches``."""
    refusals: list[Refusal] = field(default_factory=list)


PERMISSIONS: frozenset[str] = frozenset(
    {
        "Read-Write Lead",
        "Read-Write Company",
        "Read-Write Sales Person",
        "Read-Write Opportunity",
        "Read-Write Custom Object",
        "Read-Write Custom Object Type",
        "Read-Only Activity",
        "Read-Write Schema Custom Field",
        "Read-Write Schema Standard Field",
        "Read-Only Assets",
    }
)
"""The permissions that crmsync needs, named as in Marketo's role editor; a subscription starts with all."""


@dataclass
class Subscription:
    """A Marketo subscription: who it is, its API user, and what an administrator can switch."""

    munchkin_id: str
    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    user_email: str
    permissions: set[str]
    clock: Clock
    limits: Limits
    database: Path
    native_sync: bool = False
    switches: dict[str, object] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


def find_directory(directories: Iterable[Directory], name: str) -> Directory | None:
    """The Entra tenant of that id or domain."""
    wanted = name.lower()
    return next((d for d in directories if wanted in (d.tenant_id.lower(), d.domain.lower())), None)
