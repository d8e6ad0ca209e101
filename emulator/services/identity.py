"""Identities at the clouds' services, and what they may do.

Every identity gets credentials of its cloud's kind, generated when a function first runs as it and valid
while the
daemon lives (its children end with it). The meaning of the fields:
    aws     access key id, secret key, session token: requests are signed with them (SigV4)
    azure   secret = IDENTITY_HEADER, which the identity endpoint exchanges for a bearer token
    gcp     secret = a path of the metadata server, which gives a bearer token
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from emulator.desired.model import Cloud, Grant
from emulator.runtime.instances.environment import Credentials

TOKEN_S = 3600.0  # the clouds' tokens live about an hour
KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Denied(Exception):
    """A cloud service refuses. code: the vendor's error code."""

    code: str
    message: str
    status: int = 403


class Identities:
    """Credentials by principal, and back."""

    def __init__(self) -> None:
        self._by_principal: dict[tuple[Cloud, str], Credentials] = {}
        self._by_key: dict[tuple[Cloud, str], str] = {}
        self._tokens: dict[tuple[Cloud, str], tuple[str, float]] = {}

    def credentials(self, cloud: Cloud, principal: str) -> Credentials:
        """The credentials of `principal`, generated at the first call."""
        found = self._by_principal.get((cloud, principal))
        if found is None:
            key_id = "ASIA" + "".join(secrets.choice(KEY_ALPHABET) for _ in range(16))
            found = Credentials(key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(60))
            self._by_principal[cloud, principal] = found
            self._by_key[cloud, key_id if cloud == "aws" else found.secret] = principal
        return found

    def aws(self, key_id: str) -> tuple[str, Credentials]:
        """Principal and credentials of an access key id."""
        principal = self._by_key.get(("aws", key_id))
        if principal is None:
            raise Denied(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        return principal, self._by_principal["aws", principal]

    def mint(self, cloud: Cloud, secret: str, now: float) -> str | None:
        """A new bearer token for the identity that holds `secret`; None for an unknown secret."""
        principal = self._by_key.get((cloud, secret))
        if principal is None:
            return None
        self._tokens = {token: kept for token, kept in self._tokens.items() if kept[1] > now}
        token = secrets.token_urlsafe(48)
        self._tokens[cloud, token] = (principal, now + TOKEN_S)
        return token

    def bearer(self, cloud: Cloud, authorization: str, now: float) -> str:
        """Principal of an `Authorization: Bearer ...` header."""
        scheme, _, token = authorization.partition(" ")
        principal, until = self._tokens.get((cloud, token), ("", 0.0))
        if scheme.lower() != "bearer" or until <= now:
            raise Denied("AuthenticationFailed", "The bearer token is missing, unknown or expired.", 401)
        return principal


def matches(pattern: str, value: str) -> bool:
    """Equality, or a common prefix when the pattern ends in `*`."""
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def allowed(grants: Iterable[Grant], principal: str, action: str, *resources: str) -> bool:
    """Whether a grant allows `principal` to do `action` on one of the names of a resource."""
    return any(
        grant.action in (action, "*")
        and matches(grant.principal, principal)
        and any(matches(grant.resource, resource) for resource in resources)
        for grant in grants
    )
