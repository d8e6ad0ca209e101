"""Azure Resource Manager's identifiers and look-ups by them, case-insensitive as in Azure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.errors import CloudError
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, ResourceType, no_guard, no_rules, no_step
from emulator.providers.rules import Rule
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, text

SUBSCRIPTION = "5ca1ab1e-0000-4000-8000-000000000001"
TENANT = "5ca1ab1e-0000-4000-8000-000000000002"
CLIENT = "5ca1ab1e-0000-4000-8000-000000000003"
OPERATOR = "5ca1ab1e-0000-4000-8000-000000000004"

GROUP = "azure-native:resources:ResourceGroup"
DEPLOYMENT = "azure-native:resources:Deployment"
ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"
BLOB = "azure-native:storage:Blob"
PLAN = "azure-native:web:AppServicePlan"
SITE = "azure-native:web:WebApp"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
ROLE_ASSIGNMENT = "azure-native:authorization:RoleAssignment"
POLICY = "azure-native:authorization:PolicyAssignment"
VAULT = "azure-native:keyvault:Vault"
SECRET = "azure-native:keyvault:Secret"  # noqa: S105 - a type's name


def group_id(name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"


def by_id(context: Context, wanted: str) -> Resource | None:
    """The resource of any type with that id."""
    low = wanted.casefold()
    resources = (r for r in context.resources.values() if r.token.startswith("azure-native:"))
    return next((resource for resource in resources if resource.id.casefold() == low), None)


def need_id(context: Context, wanted: str, code: str = "ResourceNotFound") -> Resource:
    resource = by_id(context, wanted)
    if resource is None:
        raise CloudError(code, f"The Resource '{wanted}' was not found.")
    return resource


def same_name(context: Context, token: str, prop: str, name: str) -> Resource | None:
    """The resource of type `token` whose output `prop` is `name`, case-insensitive."""
    low = name.casefold()
    return next((r for r in context.all(token) if text(r.outputs, prop).casefold() == low), None)


@dataclass(frozen=True, slots=True)
class Arm:
    """A type of resource in a resource group.

    path: the ARM type with the input of each name: "Microsoft.Storage/storageAccounts/{accountName}".
    more: outputs besides id, name, type. unique: the name is unique in Azure, not only in its group.
    fixed: inputs that cannot change, besides the group, the names and the location.
    """

    token: str
    path: str
    naming: Naming | None = None
    more: Callable[[Properties, Context], Properties] = field(default=lambda inputs, context: {})
    unique: bool = False
    fixed: tuple[str, ...] = ()
    rules: Rule = no_rules
    refers: Callable[[Properties, Context], None] = no_step
    effects: Callable[[Properties, Context], None] = no_step
    located: bool = True
    volatile: tuple[str, ...] = ()
    exists: str = "Conflict"

    def id(self, inputs: Properties) -> str:
        return f"{group_id(text(inputs, 'resourceGroupName'))}/providers/{self.path.format_map(inputs)}"

    def key(self, inputs: Properties, context: Context) -> str:
        own = self.path.format_map(inputs) if self.unique else self.id(inputs)
        return f"azure/{own.lstrip('/')}".casefold()

    def outputs(self, inputs: Properties, context: Context) -> Properties:
        provider, *parts = self.path.split("/")
        where = {"location": location(inputs, context)} if self.located else {}
        return {
            "id": self.id(inputs),
            "name": parts[-1].format_map(inputs),
            "type": "/".join([provider, *parts[::2]]),
            **where,
            **self.more(inputs, context),
        }

    def needs(self, inputs: Properties, context: Context) -> None:
        group(inputs, context)
        self.refers(inputs, context)

    def resource_type(self) -> ResourceType:
        names = [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
        return ResourceType(
            self.token,
            self.key,
            self.outputs,
            volatile=self.volatile,
            naming=self.naming,
            force_new=frozenset(("resourceGroupName", "location", *names, *self.fixed)),
            rules=self.rules,
            refers=self.needs,
            effects=self.effects,
            on_delete=no_guard,
            exists=self.exists,
        )


def group(inputs: Properties, context: Context) -> Resource:
    name = text(inputs, "resourceGroupName")
    resource = same_name(context, GROUP, "name", name)
    if resource is None:
        raise CloudError("ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return resource


def location(inputs: Properties, context: Context) -> str:
    """The resource's location, or else the provider's, or else the resource group's."""
    configured = text(dict(context.config), "location")
    return text(inputs, "location") or configured or text(group(inputs, context).outputs, "location")
