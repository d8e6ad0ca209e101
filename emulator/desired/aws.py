"""AWS resources as desired state: Lambda functions and their URLs, roles as grants, EventBridge schedules.

IAM is read as the Allow statements of a role's own policies that are in effect, without their conditions.
Deny is
not read. A function without reserved concurrency may use all of the account's; sharing is not modelled.
Grants on buckets drop `arn:aws:s3:::`, so they read `bucket` or `bucket/key*`. Secrets keep their ARN.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from emulator.desired import periods
from emulator.desired.common import Part, ResourceView, addresses_of, port_of, role_of
from emulator.desired.model import Function, Grant, Schedule
from emulator.providers.aws.account import settings_in
from emulator.providers.aws.common import (
    BUCKET,
    FUNCTION,
    FUNCTION_URL,
    PERMISSION,
    ROLE,
    ROLE_POLICY,
    SCHEDULE,
    SECRET_VERSION,
    function_name,
    region,
)
from emulator.providers.aws.iam import assumable_by, matches, statements
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, fields, items, number, text

S3 = "arn:aws:s3:::"
ACTIONS = {
    "s3:GetObject": "object:read",
    "s3:PutObject": "object:write",
    "s3:DeleteObject": "object:delete",
    "s3:ListBucket": "object:list",
    "secretsmanager:GetSecretValue": "secret:read",
}
INVOKE = "lambda:InvokeFunction"
INVOKE_URL = "lambda:InvokeFunctionUrl"


def derive(view: ResourceView) -> Part:
    return Part(
        functions=tuple(_function(resource, view) for resource in view.all(FUNCTION)),
        schedules=tuple(
            _schedule(resource, view)
            for resource in view.all(SCHEDULE)
            if resource.outputs.get("state") != "DISABLED"
        ),
        buckets=tuple(view.bucket("aws", resource.id) for resource in view.all(BUCKET)),
        secrets={
            text(resource.outputs, "arn"): text(resource.inputs, "secretString")
            for resource in view.all(SECRET_VERSION)
            if "AWSCURRENT" in items(resource.outputs, "versionStages")
        },
        grants=tuple(dict.fromkeys(_grants(view))),
    )


def _function(resource: Resource, view: ResourceView) -> Function:
    url = next((url for url in view.all(FUNCTION_URL) if _is_of(url, "functionName", resource)), None)
    variables = fields(resource.inputs, "environment", "variables")
    reserved = number(resource.outputs, "reservedConcurrentExecutions", default=-1)
    layers = [str(layer) for layer in items(resource.inputs, "layers")]
    return Function(
        key=function_key(resource),
        cloud="aws",
        region=region(resource.outputs),
        name=resource.id,
        role=role_of(resource, "tags"),
        package=view.package(resource),
        package_hash=resource.private["package"],
        entry=text(resource.inputs, "handler"),
        environment={name: str(value) for name, value in variables.items()},
        port=port_of(url) if url else None,
        closed=_closed(url, resource, view) if url else None,
        principal=text(resource.inputs, "role"),
        memory_mb=int(number(resource.outputs, "memorySize")),
        timeout_s=number(resource.outputs, "timeout"),
        concurrency=1,
        max_instances=int(reserved) if reserved >= 0 else settings_in(view.resources).most_at_once,
        runtime=text(resource.inputs, "runtime"),
        web_adapter=text(variables, "AWS_LAMBDA_EXEC_WRAPPER") == "/opt/bootstrap"
        and any(":layer:LambdaAdapterLayer" in layer for layer in layers),
        resource=text(resource.outputs, "arn"),
        addresses=addresses_of(text(url.outputs, "functionUrl")) if url else (),
    )


def function_key(resource: Resource) -> str:
    return f"aws/{region(resource.outputs)}/{resource.id}"


def _is_of(part: Resource, prop: str, function: Resource) -> bool:
    """Whether a URL or a permission belongs to the function."""
    same_name = function_name(text(part.inputs, prop)) == function.id
    return same_name and region(part.inputs) == region(function.inputs)


def _closed(url: Resource, function: Resource, view: ResourceView) -> str | None:
    """Since October 2025 a public URL needs two permissions (AWS, lambda/latest/dg/urls-auth.html)."""
    if text(url.inputs, "authorizationType") != "NONE":
        return "the function URL wants requests signed with SigV4 (authorizationType AWS_IAM)"
    public = [
        resource.inputs
        for resource in view.all(PERMISSION)
        if _is_of(resource, "function", function) and text(resource.inputs, "principal") == "*"
    ]
    by_url = any(
        matches(text(inputs, "action"), INVOKE_URL) and text(inputs, "functionUrlAuthType") in ("", "NONE")
        for inputs in public
    )
    invoke = any(matches(text(inputs, "action"), INVOKE) for inputs in public)
    missing = [name for name, there in ((INVOKE_URL, by_url), (INVOKE, invoke)) if not there]
    if not missing:
        return None
    return f"the function's resource policy does not allow all principals {' and '.join(missing)}"


def _statements(role: Resource, view: ResourceView) -> Iterator[Json]:
    """Allow statements in effect of a role's policies."""
    return statements(role, view.effective(ROLE_POLICY))


def _grants(view: ResourceView) -> Iterator[Grant]:
    for role in view.all(ROLE):
        for statement in _statements(role, view):
            patterns = [str(pattern) for pattern in items(statement, "Action")]
            for action, ours in ACTIONS.items():
                if any(matches(pattern, action) for pattern in patterns):
                    for resource in items(statement, "Resource"):
                        plain = str(resource).removeprefix(S3)
                        yield Grant(text(role.outputs, "arn"), ours, plain)


def _schedule(resource: Resource, view: ResourceView) -> Schedule:
    target = text(resource.inputs, "target", "arn")
    function = next((f for f in view.all(FUNCTION) if _names(target, f)), None)
    return Schedule(
        key=f"aws/{region(resource.inputs)}/{resource.id}",
        cloud="aws",
        every_minutes=periods.of_rate(text(resource.inputs, "scheduleExpression")),
        function=function_key(function) if function else "",
        refused=_refused(resource, target, function, view),
        payload=text(resource.inputs, "target", "input").encode(),
    )


def _names(target: str, function: Resource) -> bool:
    own = text(function.outputs, "arn")
    return target == own or target.startswith(f"{own}:")


def _refused(resource: Resource, target: str, function: Resource | None, view: ResourceView) -> str | None:
    role_arn = text(resource.inputs, "target", "roleArn")
    role = next((role for role in view.all(ROLE) if role.outputs["arn"] == role_arn), None)
    if function is None:
        return f"its target {target} is no function"
    if role is None or not assumable_by(role, "scheduler.amazonaws.com"):
        return f"its role {role_arn} does not exist or does not trust scheduler.amazonaws.com"
    for statement in _statements(role, view):
        actions = any(matches(str(action), INVOKE) for action in items(statement, "Action"))
        if actions and any(fnmatchcase(target, str(r)) for r in items(statement, "Resource")):
            return None
    return f"its role {role.id} may not {INVOKE} on {target}"
