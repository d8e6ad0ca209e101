"""Key Vault references in the settings of a site: resolved once, kept, and read again after a day.

Source: learn.microsoft.com/azure/app-service/app-service-key-vault-references. App Service keeps what it read
and reads again every 24 hours; a change of the site's configuration makes it read at once. A reference that
cannot be resolved becomes the setting's value as it is written, and is kept just so: a role that begins to
act a minute later, or a further deployment of the same configuration, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emulator.providers.azure.common import IDENTITY, SECRET, VAULT
from emulator.providers.azure.roles import READ_SECRET_ROLES, has_role
from emulator.providers.azure.settings import app_settings
from emulator.providers.table import Row
from emulator.providers.values import Properties, at, fields, items, text

REFERENCE = re.compile(r"@Microsoft\.KeyVault\((.*)\)")
KEPT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Reader:
    """What a site's platform sees: all rows, and the role assignments that act."""

    rows: Mapping[str, Row]
    assignments: tuple[Row, ...]

    def all(self, token: str) -> Iterable[Row]:
        return (row for row in self.rows.values() if row.token == token)

    def settings(self, inputs: Properties, own_principal: str) -> dict[str, str]:
        """The site's settings as its code gets them. own_principal: of its system-assigned identity."""
        given = {name: str(value) for name, value in app_settings(inputs).items() if value is not None}
        principal = self._principal(text(inputs, "keyVaultReferenceIdentity"), own_principal)
        return {name: self._resolved(value, principal) for name, value in given.items()}

    def _principal(self, named: str, own: str) -> str:
        """Principal id of the identity that resolves references."""
        if named in ("", "SystemAssigned"):
            return own
        rows = (r for r in self.all(IDENTITY) if r.id.casefold() == named.casefold())
        return next((text(row.outputs, "principalId") for row in rows), "")

    def _resolved(self, value: str, principal: str) -> str:
        reference = REFERENCE.fullmatch(value)
        if reference is None:
            return value
        pairs = (part.strip().partition("=") for part in str(reference[1]).split(";"))
        parts = {name: content for name, _, content in pairs}
        uri = parts.get("SecretUri") or (
            f"https://{parts.get('VaultName', '')}.vault.azure.net/secrets/{parts.get('SecretName', '')}"
            f"/{parts.get('SecretVersion', '')}"
        )
        found = self._secret(uri)
        if found is None or not self._may_read(principal, found[0]):
            return value
        return secret_value(*found) or value

    def _secret(self, uri: str) -> tuple[Row, str] | None:
        """The secret and the version (empty: the current one) that a secret's URI names."""
        wanted = uri.rstrip("/").casefold()
        for row in self.all(SECRET):
            base = text(row.outputs, "properties", "secretUri").casefold()
            if wanted == base or wanted.startswith(f"{base}/"):
                return row, wanted[len(base) :].strip("/")
        return None

    def _may_read(self, principal: str, secret: Row) -> bool:
        vault = next(
            (v for v in self.all(VAULT) if secret.id.casefold().startswith(f"{v.id.casefold()}/")), None
        )
        if not principal or vault is None:
            return False
        if at(vault.outputs, "properties", "enableRbacAuthorization") is True:
            return has_role(self.assignments, principal, READ_SECRET_ROLES, secret.id)
        policies = items(vault.inputs, "properties", "accessPolicies")
        mine = (policy for policy in policies if text(policy, "objectId") == principal)
        return any("get" in [str(p).lower() for p in items(m, "permissions", "secrets")] for m in mine)


def secret_value(row: Row, version: str) -> str | None:
    """The value of a secret's version; empty: of its current one."""
    values = fields(row.private, "values")
    return values.get(version or str(row.private.get("version")))
