"""Azure's built-in roles that a fleet of functions needs, and the scope of an assignment.

Sources: learn.microsoft.com/azure/role-based-access-control/built-in-roles (ids) and .../troubleshooting ("it
can take up to 10 minutes for changes to take effect"). Most take one to three minutes; here all take two.
"""

from __future__ import annotations

from collections.abc import Iterable

from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import text

ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage ResourceStore Data Contributor",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b875-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
}
READ_BLOBS, WRITE_BLOBS, LIST_BLOBS = "object:read", "object:write", "object:list"
ALL_BLOBS = (READ_BLOBS, WRITE_BLOBS, "object:delete", LIST_BLOBS)
BLOB_ROLES = {
    "Storage Blob Data Owner": ALL_BLOBS,
    "Storage Blob Data Contributor": ALL_BLOBS,
    "Storage Blob Data Reader": (READ_BLOBS, LIST_BLOBS),
}
WRITE_BLOB_ROLES = tuple(name for name, actions in BLOB_ROLES.items() if WRITE_BLOBS in actions)
# Management roles such as Owner and Contributor are not among them: they cover Resource Manager only.
READ_SECRET_ROLES = ("Key Vault Secrets User", "Key Vault Secrets Officer", "Key Vault Administrator")
DELETE_SECRET_ROLES = ("Key Vault Secrets Officer", "Key Vault Administrator")
ACTS_AFTER_S = 120.0


def role_of(definition: str) -> str | None:
    """The name of the built-in role with this definition id."""
    return ROLES.get(definition.rpartition("/")[2].casefold())


def covers(scope: str, id: str) -> bool:
    """Whether a role on `scope` covers the resource `id`: everything below the scope."""
    return f"{id.casefold()}/".startswith(f"{scope.casefold().rstrip('/')}/")


def has_role(assignments: Iterable[Resource], principal: str, roles: tuple[str, ...], id: str) -> bool:
    """Whether one of the assignments gives `principal` one of these roles on the resource `id`."""
    return any(
        text(resource.inputs, "principalId") == principal
        and role_of(text(resource.inputs, "roleDefinitionId")) in roles
        and covers(text(resource.inputs, "scope"), id)
        for resource in assignments
    )
