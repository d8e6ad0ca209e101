"""Google Cloud resources as desired state: functions, their invokers, grants of their service accounts.

Grants name buckets as `bucket`, or as `bucket/prefix*` under a condition. A condition on objects never covers
a
listing, which is an operation on the bucket. A function whose account lost access to a configured secret is
closed with that reason: Cloud Run would start no new instance of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from emulator.desired import periods
from emulator.desired.common import Part, ResourceView, addresses_of, port_of, role_of
from emulator.desired.model import Function, Grant, Schedule
from emulator.providers import addresses
from emulator.providers.gcp.common import (
    ACCESSOR,
    BUCKET,
    BUCKET_MEMBER,
    FUNCTION,
    FUNCTION_MEMBER,
    JOB,
    PROJECT_MEMBER,
    PROJECT_NUMBER,
    RUN_MEMBER,
    SECRET_MEMBER,
    SECRET_VERSION,
    SERVICE_MEMBER,
    last,
    memory_mb,
    runs_as,
)
from emulator.providers.gcp.iam import BUCKETS, CONDITION
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, fields, items, number, text

INVOKER = "roles/run.invoker"
FUNCTION_INVOKER = "roles/cloudfunctions.invoker"
ALL_OBJECTS = ("object:read", "object:write", "object:delete", "object:list")
OBJECT_ROLES = {
    "roles/storage.objectViewer": ("object:read", "object:list"),
    "roles/storage.objectCreator": ("object:write",),
    "roles/storage.objectUser": ALL_OBJECTS,
    "roles/storage.objectAdmin": ALL_OBJECTS,
    "roles/storage.admin": ALL_OBJECTS,
}
# resource type of the member, input that names the service, invoker role
INVOKERS = (
    (SERVICE_MEMBER, "name", INVOKER),
    (RUN_MEMBER, "service", INVOKER),
    (FUNCTION_MEMBER, "cloudFunction", FUNCTION_INVOKER),
)


PUBLIC = ("", "ALLOW_ALL")


def derive(view: ResourceView) -> Part:
    return Part(
        functions=tuple(_function(resource, view) for resource in view.all(FUNCTION)),
        schedules=tuple(
            _schedule(resource, view)
            for resource in view.all(JOB)
            if resource.inputs.get("paused") is not True
        ),
        buckets=tuple(view.bucket("gcp", resource.id) for resource in view.all(BUCKET)),
        secrets={resource.id: text(resource.inputs, "secretData") for resource in view.all(SECRET_VERSION)},
        grants=tuple(dict.fromkeys(_grants(view))),
    )


def _function(resource: Resource, view: ResourceView) -> Function:
    service, build = fields(resource.outputs, "serviceConfig"), fields(resource.inputs, "buildConfig")
    plain = {name: str(value) for name, value in fields(service, "environmentVariables").items()}
    secrets, unreadable = _secrets(resource, view)
    return Function(
        key=function_key(resource),
        cloud="gcp",
        region=text(resource.inputs, "location"),
        name=text(resource.inputs, "name"),
        role=role_of(resource, "labels"),
        package=view.package(resource),
        package_hash=resource.private["package"],
        entry=text(build, "entryPoint"),
        environment=plain | secrets,
        port=port_of(resource),
        closed=unreadable or _closed(resource, view),
        principal=runs_as(resource.inputs),
        memory_mb=memory_mb(text(service, "availableMemory")) or 256,
        timeout_s=number(service, "timeoutSeconds"),
        concurrency=int(number(service, "maxInstanceRequestConcurrency", default=1)),
        max_instances=int(number(service, "maxInstanceCount", default=100)),
        runtime=text(build, "runtime"),
        resource=resource.id,
        addresses=addresses_of(*_urls(resource), _by_number(resource)),
    )


def function_key(resource: Resource) -> str:
    return f"gcp/{resource.inputs['location']}/{resource.inputs['name']}"


def invokers(resource: Resource, view: ResourceView) -> set[str]:
    """Members that may invoke the function: on its service, on the function or in the whole project."""
    found: set[str] = set()
    for token, prop, role in INVOKERS:
        for member in view.effective(token):
            where = text(member.inputs, "location")
            here = last(text(member.inputs, prop)) == resource.inputs["name"] and where in (
                "",
                resource.inputs["location"],
            )
            if here and text(member.inputs, "role") in (role, "roles/run.admin"):
                found.add(text(member.inputs, "member"))
    in_project = (m.inputs for m in view.effective(PROJECT_MEMBER) if text(m.inputs, "role") == INVOKER)
    return found | {text(inputs, "member") for inputs in in_project}


def _closed(resource: Resource, view: ResourceView) -> str | None:
    ingress = text(resource.inputs, "serviceConfig", "ingressSettings")
    if ingress not in PUBLIC:
        return f"ingress from outside is not allowed (ingressSettings {ingress})"
    if "allUsers" not in invokers(resource, view):
        return f"only members with {INVOKER} may call it, and allUsers is none"
    return None


def _secrets(resource: Resource, view: ResourceView) -> tuple[dict[str, str], str | None]:
    """The secret variables, and the reason why one of them cannot be read."""
    found: dict[str, str] = {}
    for variable in items(resource.inputs, "serviceConfig", "secretEnvironmentVariables"):
        value = _secret(variable, f"serviceAccount:{runs_as(resource.inputs)}", view)
        if value is None:
            return found, f"its service account may not read the secret {text(variable, 'secret')}"
        found[text(variable, "key")] = value
    return found, None


def _secret(variable: Json, member: str, view: ResourceView) -> str | None:
    name, version = last(text(variable, "secret")), text(variable, "version")
    on_secret = (m.inputs for m in view.effective(SECRET_MEMBER) if last(text(m.inputs, "secretId")) == name)
    on_project = (m.inputs for m in view.effective(PROJECT_MEMBER))
    mine = [inputs for inputs in (*on_secret, *on_project) if text(inputs, "member") == member]
    if not any(text(inputs, "role") == ACCESSOR for inputs in mine):
        return None
    versions = {
        text(resource.outputs, "version"): text(resource.inputs, "secretData")
        for resource in view.all(SECRET_VERSION)
        if last(text(resource.inputs, "secret")) == name
    }
    newest = max(versions, key=int, default="")
    return versions.get(newest if version == "latest" else version)


def _grants(view: ResourceView) -> Iterator[Grant]:
    for resource in view.effective(BUCKET_MEMBER):
        condition = re.fullmatch(CONDITION, text(resource.inputs, "condition", "expression"))
        for action in OBJECT_ROLES.get(text(resource.inputs, "role"), ()):
            if condition is None:
                yield Grant(_principal(resource), action, text(resource.inputs, "bucket"))
            elif condition[1] == text(resource.inputs, "bucket") and action != "object:list":
                yield Grant(_principal(resource), action, f"{condition[1]}/{condition[2]}*")
    for resource in view.effective(PROJECT_MEMBER):
        condition = re.fullmatch(BUCKETS, text(resource.inputs, "condition", "expression"))
        for action in OBJECT_ROLES.get(text(resource.inputs, "role"), ()):
            yield Grant(_principal(resource), action, f"{condition[1]}*" if condition else "*")


def _principal(resource: Resource) -> str:
    return text(resource.inputs, "member").partition(":")[2]


def _schedule(resource: Resource, view: ResourceView) -> Schedule:
    uri = text(resource.inputs, "httpTarget", "uri")
    function = next((f for f in view.all(FUNCTION) if _serves(f, uri)), None)
    return Schedule(
        key=f"gcp/{resource.inputs['region']}/{resource.inputs['name']}",
        cloud="gcp",
        every_minutes=periods.of_cron(text(resource.inputs, "schedule")),
        function=function_key(function) if function else "",
        refused=_refused(resource, function, view),
        payload=text(resource.inputs, "httpTarget", "body").encode(),
    )


def _by_number(function: Resource) -> str:
    """The third address: the service's, with the project number."""
    name, where = text(function.inputs, "name"), text(function.inputs, "location")
    return addresses.cloud_run_by_number(name, PROJECT_NUMBER, where)


def _urls(function: Resource) -> tuple[str, str]:
    """The two addresses of a function: its Cloud Run service and cloudfunctions.net."""
    return text(function.outputs, "serviceConfig", "uri"), text(function.outputs, "url")


def _serves(function: Resource, uri: str) -> bool:
    return any(uri == url or uri.startswith(f"{url}/") for url in _urls(function))


def _refused(resource: Resource, function: Resource | None, view: ResourceView) -> str | None:
    if function is None:
        return f"no function answers at {text(resource.inputs, 'httpTarget', 'uri')}"
    allowed = invokers(function, view)
    ingress = text(function.inputs, "serviceConfig", "ingressSettings")
    if ingress not in PUBLIC and not text(resource.inputs, "httpTarget", "uri").startswith(
        _urls(function)[0]
    ):
        return f"Cloud Scheduler is internal at {_urls(function)[0]} only (ingressSettings {ingress})"
    email = text(resource.inputs, "httpTarget", "oidcToken", "serviceAccountEmail")
    audience = text(resource.inputs, "httpTarget", "oidcToken", "audience")
    if "allUsers" in allowed:
        return None
    if f"serviceAccount:{email}" not in allowed:
        return f"{email or 'a caller without a token'} has not {INVOKER} on {function.id}"
    if audience and audience.rstrip("/") not in _urls(function):
        return f"its token is meant for {audience}, not for {_urls(function)[0]}"
    return None
