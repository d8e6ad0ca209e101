"""Key Vault references in the settings of a site: resolved once, cached, read again after a day.

Source: learn.microsoft.com/azure/app-service/app-service-key-vault-references. App Service caches the value
and
reads it again every 24 hours; a change of the site's configuration makes it read at once. A reference that
cannot be resolved becomes the literal value of the setting and is cached like one: neither a role that takes
effect a minute later nor a further deployment of the same configuration changes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emulator.providers.azure.common import IDENTITY, SECRET, VAULT
from emulator.providers.azure.roles import READ_SECRET_ROLES, has_role
from emulator.providers.azure.settings import app_settings
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, at, fields, items, text

REFERENCE = re.compile(r"@Microsoft\.KeyVault\((.*)\)")
KEPT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Reader:
    """What a site's platform sees: all resources, and the role assignments in effect."""

    resources: Mapping[str, Resource]
    assignments: tuple[Resource, ...]

    def all(self, token: str) -> Iterable[Resource]:
        return (resource for resource in self.resources.values() if resource.token == token)

    def settings(self, inputs: Properties, own_principal: str) -> dict[str, str]:
        """The site's settings as its code gets them. own_principal: its system-assigned identity's
        principal.
        """
        given = {name: str(value) for name, value in app_settings(inputs).items() if value is not None}
        principal = self._principal(text(inputs, "keyVaultReferenceIdentity"), own_principal)
        return {name: self._resolved(value, principal) for name, value in given.items()}

    def _principal(self, named: str, own: str) -> str:
        """Principal id of the identity that resolves references."""
        if named in ("", "SystemAssigned"):
            return own
        resources = (r for r in self.all(IDENTITY) if r.id.casefold() == named.casefold())
        return next((text(resource.outputs, "principalId") for resource in resources), "")

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

    def _secret(self, uri: str) -> tuple[Resource, str] | None:
        """The secret and the version (empty: the current one) that a URI names."""
        wanted = uri.rstrip("/").casefold()
        for resource in self.all(SECRET):
            base = text(resource.outputs, "properties", "secretUri").casefold()
            if wanted == base or wanted.startswith(f"{base}/"):
                return resource, wanted[len(base) :].strip("/")
        return None

    def _may_read(self, principal: str, secret: Resource) -> bool:
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


def secret_value(resource: Resource, version: str) -> str | None:
    """The value of a secret's version; empty: the current one."""
    values = fields(resource.private, "values")
    return values.get(version or str(resource.private.get("version")))
