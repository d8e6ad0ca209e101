"""Amazon's table as a world: Lambda functions with their doors, roles as grants, EventBridge schedules.

How IAM is read: Allow statements of a role's own policies that act already, whatever their conditions; Deny
is not read. A function without a reservation may take all of the account's concurrency; that functions share
it is not modelled.
Resources of buckets lose `arn:aws:s3:::`, so they read `bucket` or `bucket/key*`; secrets keep their ARN.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from emulator.desired import periods
from emulator.desired.common import Part, Tables, addresses_of, port_of, role_of
from emulator.desired.state import Function, Grant, Schedule
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
from emulator.providers.table import Row
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


def derive(tables: Tables) -> Part:
    return Part(
        functions=tuple(_function(row, tables) for row in tables.all(FUNCTION)),
        schedules=tuple(
            _schedule(row, tables) for row in tables.all(SCHEDULE) if row.outputs.get("state") != "DISABLED"
        ),
        buckets=tuple(tables.bucket("aws", row.id) for row in tables.all(BUCKET)),
        secrets={
            text(row.outputs, "arn"): text(row.inputs, "secretString")
            for row in tables.all(SECRET_VERSION)
            if "AWSCURRENT" in items(row.outputs, "versionStages")
        },
        grants=tuple(dict.fromkeys(_grants(tables))),
    )


def _function(row: Row, tables: Tables) -> Function:
    url = next((url for url in tables.all(FUNCTION_URL) if _is_of(url, "functionName", row)), None)
    variables = fields(row.inputs, "environment", "variables")
    reserved = number(row.outputs, "reservedConcurrentExecutions", default=-1)
    layers = [str(layer) for layer in items(row.inputs, "layers")]
    return Function(
        key=function_key(row),
        cloud="aws",
        region=region(row.outputs),
        name=row.id,
        role=role_of(row, "tags"),
        package=tables.package(row),
        package_hash=row.private["package"],
        entry=text(row.inputs, "handler"),
        environment={name: str(value) for name, value in variables.items()},
        port=port_of(url) if url else None,
        closed=_closed(url, row, tables) if url else None,
        principal=text(row.inputs, "role"),
        memory_mb=int(number(row.outputs, "memorySize")),
        timeout_s=number(row.outputs, "timeout"),
        concurrency=1,
        max_instances=int(reserved) if reserved >= 0 else settings_in(tables.rows).most_at_once,
        runtime=text(row.inputs, "runtime"),
        web_adapter=text(variables, "AWS_LAMBDA_EXEC_WRAPPER") == "/opt/bootstrap"
        and any(":layer:LambdaAdapterLayer" in layer for layer in layers),
        resource=text(row.outputs, "arn"),
        addresses=addresses_of(text(url.outputs, "functionUrl")) if url else (),
    )


def function_key(row: Row) -> str:
    return f"aws/{region(row.outputs)}/{row.id}"


def _is_of(part: Row, prop: str, function: Row) -> bool:
    """Whether a URL or a permission belongs to the function."""
    same_name = function_name(text(part.inputs, prop)) == function.id
    return same_name and region(part.inputs) == region(function.inputs)


def _closed(url: Row, function: Row, tables: Tables) -> str | None:
    """Since October 2025 a public URL needs two permissions (AWS, lambda/latest/dg/urls-auth.html)."""
    if text(url.inputs, "authorizationType") != "NONE":
        return "the function URL wants requests signed with SigV4 (authorizationType AWS_IAM)"
    public = [
        row.inputs
        for row in tables.all(PERMISSION)
        if _is_of(row, "function", function) and text(row.inputs, "principal") == "*"
    ]
    by_url = any(
        matches(text(inputs, "action"), INVOKE_URL) and text(inputs, "functionUrlAuthType") in ("", "NONE")
        for inputs in public
    )
    invoke = any(matches(text(inputs, "action"), INVOKE) for inputs in public)
    missing = [name for name, there in ((INVOKE_URL, by_url), (INVOKE, invoke)) if not there]
    if not missing:
        return None
    return f"the function's resource policy does not allow everybody {' and '.join(missing)}"


def _statements(role: Row, tables: Tables) -> Iterator[Json]:
    """Allow statements of a role's policies that act already."""
    return statements(role, tables.effective(ROLE_POLICY))


def _grants(tables: Tables) -> Iterator[Grant]:
    for role in tables.all(ROLE):
        for statement in _statements(role, tables):
            patterns = [str(pattern) for pattern in items(statement, "Action")]
            for action, ours in ACTIONS.items():
                if any(matches(pattern, action) for pattern in patterns):
                    for resource in items(statement, "Resource"):
                        plain = str(resource).removeprefix(S3)
                        yield Grant(text(role.outputs, "arn"), ours, plain)


def _schedule(row: Row, tables: Tables) -> Schedule:
    target = text(row.inputs, "target", "arn")
    function = next((f for f in tables.all(FUNCTION) if _names(target, f)), None)
    return Schedule(
        key=f"aws/{region(row.inputs)}/{row.id}",
        cloud="aws",
        every_minutes=periods.of_rate(text(row.inputs, "scheduleExpression")),
        function=function_key(function) if function else "",
        refused=_refused(row, target, function, tables),
        payload=text(row.inputs, "target", "input").encode(),
    )


def _names(target: str, function: Row) -> bool:
    own = text(function.outputs, "arn")
    return target == own or target.startswith(f"{own}:")


def _refused(row: Row, target: str, function: Row | None, tables: Tables) -> str | None:
    role_arn = text(row.inputs, "target", "roleArn")
    role = next((role for role in tables.all(ROLE) if role.outputs["arn"] == role_arn), None)
    if function is None:
        return f"its target {target} is no function"
    if role is None or not assumable_by(role, "scheduler.amazonaws.com"):
        return f"its role {role_arn} does not exist or does not trust scheduler.amazonaws.com"
    for statement in _statements(role, tables):
        actions = any(matches(str(action), INVOKE) for action in items(statement, "Action"))
        if actions and any(fnmatchcase(target, str(r)) for r in items(statement, "Resource")):
            return None
    return f"its role {role.id} may not {INVOKE} on {target}"
