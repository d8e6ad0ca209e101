"""Google's table as a world: functions, who may invoke them, what their service accounts may read.

Grants name buckets as `bucket`, or as `bucket/prefix*` under a condition, which then never covers a listing:
that is asked of the bucket. A function that lost the right to read a secret it is configured with is
closed with that reason: Cloud Run would start no new instance of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from emulator.desired import periods
from emulator.desired.common import Part, Tables, addresses_of, port_of, role_of
from emulator.desired.state import Function, Grant, Schedule
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
from emulator.providers.table import Row
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
# type of member, the input that names the service, its invoker role
INVOKERS = (
    (SERVICE_MEMBER, "name", INVOKER),
    (RUN_MEMBER, "service", INVOKER),
    (FUNCTION_MEMBER, "cloudFunction", FUNCTION_INVOKER),
)


PUBLIC = ("", "ALLOW_ALL")


def derive(tables: Tables) -> Part:
    return Part(
        functions=tuple(_function(row, tables) for row in tables.all(FUNCTION)),
        schedules=tuple(
            _schedule(row, tables) for row in tables.all(JOB) if row.inputs.get("paused") is not True
        ),
        buckets=tuple(tables.bucket("gcp", row.id) for row in tables.all(BUCKET)),
        secrets={row.id: text(row.inputs, "secretData") for row in tables.all(SECRET_VERSION)},
        grants=tuple(dict.fromkeys(_grants(tables))),
    )


def _function(row: Row, tables: Tables) -> Function:
    service, build = fields(row.outputs, "serviceConfig"), fields(row.inputs, "buildConfig")
    plain = {name: str(value) for name, value in fields(service, "environmentVariables").items()}
    secrets, unreadable = _secrets(row, tables)
    return Function(
        key=function_key(row),
        cloud="gcp",
        region=text(row.inputs, "location"),
        name=text(row.inputs, "name"),
        role=role_of(row, "labels"),
        package=tables.package(row),
        package_hash=row.private["package"],
        entry=text(build, "entryPoint"),
        environment=plain | secrets,
        port=port_of(row),
        closed=unreadable or _closed(row, tables),
        principal=runs_as(row.inputs),
        memory_mb=memory_mb(text(service, "availableMemory")) or 256,
        timeout_s=number(service, "timeoutSeconds"),
        concurrency=int(number(service, "maxInstanceRequestConcurrency", default=1)),
        max_instances=int(number(service, "maxInstanceCount", default=100)),
        runtime=text(build, "runtime"),
        resource=row.id,
        addresses=addresses_of(*_urls(row), _by_number(row)),
    )


def function_key(row: Row) -> str:
    return f"gcp/{row.inputs['location']}/{row.inputs['name']}"


def invokers(row: Row, tables: Tables) -> set[str]:
    """Members that may invoke the function, on its service, on the function or in the whole project."""
    found: set[str] = set()
    for token, prop, role in INVOKERS:
        for member in tables.effective(token):
            where = text(member.inputs, "location")
            here = last(text(member.inputs, prop)) == row.inputs["name"] and where in (
                "",
                row.inputs["location"],
            )
            if here and text(member.inputs, "role") in (role, "roles/run.admin"):
                found.add(text(member.inputs, "member"))
    in_project = (m.inputs for m in tables.effective(PROJECT_MEMBER) if text(m.inputs, "role") == INVOKER)
    return found | {text(inputs, "member") for inputs in in_project}


def _closed(row: Row, tables: Tables) -> str | None:
    ingress = text(row.inputs, "serviceConfig", "ingressSettings")
    if ingress not in PUBLIC:
        return f"ingress from outside is not allowed (ingressSettings {ingress})"
    if "allUsers" not in invokers(row, tables):
        return f"only members with {INVOKER} may call it, and allUsers is none"
    return None


def _secrets(row: Row, tables: Tables) -> tuple[dict[str, str], str | None]:
    """The secret variables, and why one of them cannot be read."""
    found: dict[str, str] = {}
    for variable in items(row.inputs, "serviceConfig", "secretEnvironmentVariables"):
        value = _secret(variable, f"serviceAccount:{runs_as(row.inputs)}", tables)
        if value is None:
            return found, f"its service account may not read the secret {text(variable, 'secret')}"
        found[text(variable, "key")] = value
    return found, None


def _secret(variable: Json, member: str, tables: Tables) -> str | None:
    name, version = last(text(variable, "secret")), text(variable, "version")
    on_secret = (
        m.inputs for m in tables.effective(SECRET_MEMBER) if last(text(m.inputs, "secretId")) == name
    )
    on_project = (m.inputs for m in tables.effective(PROJECT_MEMBER))
    mine = [inputs for inputs in (*on_secret, *on_project) if text(inputs, "member") == member]
    if not any(text(inputs, "role") == ACCESSOR for inputs in mine):
        return None
    versions = {
        text(row.outputs, "version"): text(row.inputs, "secretData")
        for row in tables.all(SECRET_VERSION)
        if last(text(row.inputs, "secret")) == name
    }
    newest = max(versions, key=int, default="")
    return versions.get(newest if version == "latest" else version)


def _grants(tables: Tables) -> Iterator[Grant]:
    for row in tables.effective(BUCKET_MEMBER):
        condition = re.fullmatch(CONDITION, text(row.inputs, "condition", "expression"))
        for action in OBJECT_ROLES.get(text(row.inputs, "role"), ()):
            if condition is None:
                yield Grant(_principal(row), action, text(row.inputs, "bucket"))
            elif condition[1] == text(row.inputs, "bucket") and action != "object:list":
                yield Grant(_principal(row), action, f"{condition[1]}/{condition[2]}*")
    for row in tables.effective(PROJECT_MEMBER):
        condition = re.fullmatch(BUCKETS, text(row.inputs, "condition", "expression"))
        for action in OBJECT_ROLES.get(text(row.inputs, "role"), ()):
            yield Grant(_principal(row), action, f"{condition[1]}*" if condition else "*")


def _principal(row: Row) -> str:
    return text(row.inputs, "member").partition(":")[2]


def _schedule(row: Row, tables: Tables) -> Schedule:
    uri = text(row.inputs, "httpTarget", "uri")
    function = next((f for f in tables.all(FUNCTION) if _serves(f, uri)), None)
    return Schedule(
        key=f"gcp/{row.inputs['region']}/{row.inputs['name']}",
        cloud="gcp",
        every_minutes=periods.of_cron(text(row.inputs, "schedule")),
        function=function_key(function) if function else "",
        refused=_refused(row, function, tables),
        payload=text(row.inputs, "httpTarget", "body").encode(),
    )


def _by_number(function: Row) -> str:
    """The third address: its service's, with the project's number."""
    name, where = text(function.inputs, "name"), text(function.inputs, "location")
    return addresses.cloud_run_by_number(name, PROJECT_NUMBER, where)


def _urls(function: Row) -> tuple[str, str]:
    """Both addresses of a function: of its Cloud Run service, and the one at cloudfunctions.net."""
    return text(function.outputs, "serviceConfig", "uri"), text(function.outputs, "url")


def _serves(function: Row, uri: str) -> bool:
    return any(uri == url or uri.startswith(f"{url}/") for url in _urls(function))


def _refused(row: Row, function: Row | None, tables: Tables) -> str | None:
    if function is None:
        return f"no function answers at {text(row.inputs, 'httpTarget', 'uri')}"
    allowed = invokers(function, tables)
    ingress = text(function.inputs, "serviceConfig", "ingressSettings")
    if ingress not in PUBLIC and not text(row.inputs, "httpTarget", "uri").startswith(_urls(function)[0]):
        return f"Cloud Scheduler is internal at {_urls(function)[0]} only (ingressSettings {ingress})"
    email = text(row.inputs, "httpTarget", "oidcToken", "serviceAccountEmail")
    audience = text(row.inputs, "httpTarget", "oidcToken", "audience")
    if "allUsers" in allowed:
        return None
    if f"serviceAccount:{email}" not in allowed:
        return f"{email or 'a caller without a token'} has not {INVOKER} on {function.id}"
    if audience and audience.rstrip("/") not in _urls(function):
        return f"its token is meant for {audience}, not for {_urls(function)[0]}"
    return None
