"""Resources as the providers store them, for tests of the desired state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emulator.desired.derive import derive
from emulator.desired.model import DesiredState, Function
from emulator.providers.aws.common import (
    FUNCTION,
    FUNCTION_URL,
    PERMISSION,
    ROLE,
    ROLE_POLICY,
    SCHEDULE,
)
from emulator.providers.storage.resource_store import Resource

EMULATOR = Path("/emulator")
REGION = "eu-west-1"


def resource(token: str, id: str, inputs: dict[str, Any], **more: dict[str, Any]) -> Resource:
    """A stored resource. more: `outputs` in addition to the inputs, and `private`."""
    outputs = {**inputs, "id": id, **more.get("outputs", {})}
    return Resource(f"{token}/{id}", token, id, f"urn::{id}", inputs, outputs, more.get("private", {}))


def desired(*resources: Resource) -> DesiredState:
    return derive({each.key: each for each in resources}, EMULATOR)


def only(of: DesiredState) -> Function:
    (function,) = of.functions
    return function


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name: str, service: str = "lambda.amazonaws.com") -> Resource:
    return resource(
        ROLE, name, {"name": name, "assumeRolePolicy": trust(service)}, outputs={"arn": f"arn:role/{name}"}
    )


def allows(role_name: str, action: str | list[str], on: str | list[str]) -> Resource:
    statement = {"Effect": "Allow", "Action": action, "Resource": on}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return resource(ROLE_POLICY, f"{role_name}:{action}{on}", {"role": role_name, "policy": policy})


def lambda_function(name: str = "agent", **inputs: Any) -> Resource:  # noqa: ANN401 - inputs are JSON
    given = {
        "name": name,
        "region": REGION,
        "role": "arn:role/agent",
        "runtime": "python3.13",
        "handler": "run.sh",
        "tags": {"skyfleet-role": "agent"},
        **inputs,
    }
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:{name}"
    defaults = {"memorySize": 128, "timeout": 3, "reservedConcurrentExecutions": -1, **inputs}
    return resource(FUNCTION, name, given, outputs={**defaults, "arn": arn}, private={"package": "ab" * 32})


def function_url(name: str = "agent", kind: str = "NONE") -> Resource:
    given = {"functionName": name, "authorizationType": kind, "region": REGION}
    return resource(FUNCTION_URL, name, given, private={"port": 4001})


def permission(id: str, action: str, **more: Any) -> Resource:  # noqa: ANN401 - inputs are JSON
    given = {"function": "agent", "principal": "*", "region": REGION, "action": action, **more}
    return resource(PERMISSION, id, given)


def both_permissions() -> tuple[Resource, Resource]:
    return (
        permission("url", "lambda:InvokeFunctionUrl", functionUrlAuthType="NONE"),
        permission("invoke", "lambda:InvokeFunction", invokedViaFunctionUrl=True),
    )


def schedule(expression: str = "rate(1 minute)", **more: Any) -> Resource:  # noqa: ANN401 - inputs are JSON
    target = {
        "arn": f"arn:aws:lambda:{REGION}:123456789012:function:agent",
        "roleArn": "arn:role/scheduler",
    }
    given = {
        "name": "minute",
        "region": REGION,
        "scheduleExpression": expression,
        "target": target,
        **more,
    }
    return resource(SCHEDULE, "default/minute", given)
