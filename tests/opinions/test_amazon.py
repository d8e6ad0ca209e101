"""What the program registers at Amazon, against moto's policies and Amazon's own models of inputs.

Where moto differs from Amazon's documents: it tells every caller that a missing object is missing, while S3
says *denied* to an identity that may not list (API reference, GetObject, *Permissions*). Beyond S3 it
compares no resources of a policy, so it denies whatever is allowed on named ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from botocore.exceptions import ClientError
from botocore.session import get_session

from emulator.desired.model import Bucket, DesiredState
from emulator.services.identity import Identities
from functions.runtimes.errors import SecretNotRead
from functions.runtimes.secrets_manager import read_secret
from tests.emulator import resources
from tests.infra.recorded import Resource, of_type, recorded, settings_for
from tests.opinions.servers import amazon, amazons, emulator_of, make_bucket, moto

pytestmark = pytest.mark.xdist_group("opinions")

ROLES = ("agent", "router", "checker")
ARN = "arn:aws:test:here:123456789012:aws-eu-west-1"
# What each role gets of each request: the status.
DENIED, MISSING = 403, 404
EXPECTED: Mapping[str, Mapping[str, int]] = {
    "agent": {
        "put replies/x": 200,
        "get replies/x": 200,
        "get replies/none": DENIED,
        "put health/x": DENIED,
        "get health/there": DENIED,
        "get control.json": DENIED,
        "delete replies/x": DENIED,
        "list": DENIED,
        "secret agent": 200,
        "secret router": DENIED,
        "secret checker": DENIED,
    },
    "router": {
        "put replies/x": DENIED,
        "get replies/there": DENIED,
        "put health/x": 200,
        "get health/x": 200,
        "get health/none": MISSING,
        "put control.json": 200,
        "get control.json": 200,
        "delete health/x": DENIED,
        "put packages/x": DENIED,
        "list": 200,
        "secret agent": DENIED,
        "secret router": 200,
    },
    "checker": {
        "put health/x": DENIED,
        "get health/there": DENIED,
        "put replies/x": DENIED,
        "list": DENIED,
        "secret checker": 200,
        "secret agent": DENIED,
    },
}
MOTO_DIFFERS = {
    ("agent", "get replies/none"): MISSING,
    **{(role, f"secret {role}"): DENIED for role in ROLES},
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """Amazon alone."""
    return recorded(settings_for("aws"), tmp_path_factory.mktemp("packages"))


@dataclass(frozen=True)
class Account:
    """One implementation with the fleet's roles, bucket and secrets. as_role: variables of its function."""

    address: str
    as_role: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, str]


def policy_of(fleet: list[Resource], role: str, secrets: Mapping[str, str]) -> str:
    """The recorded policy with the names that bucket and secrets have here."""
    (given,) = (
        each
        for each in of_type(fleet, "aws:iam/rolePolicy:RolePolicy")
        if each.name == f"aws-eu-west-1-{role}"
    )
    text = re.sub(rf'{ARN}(?=[/"])', "arn:aws:s3:::bkt", str(given.inputs["policy"]))
    for name, arn in secrets.items():
        text = text.replace(f'"{ARN}-{name}"', f'"{arn}"')
    assert ARN not in text.replace(f"{ARN}-{role}:*", "")  # its log group
    return text


Answers = Mapping[str, Mapping[str, int]]


def all_answers(account: Account) -> Answers:
    return {role: {one: asked(account, role, one) for one in EXPECTED[role]} for role in ROLES}


@pytest.fixture(scope="module")
def theirs(fleet: list[Resource]) -> Answers:
    """What moto says, while it evaluates policies; all its servers of one process share that switch."""
    with moto() as address:
        admin = amazons(address)
        make_bucket(address)
        _fill(address, admin)
        manager, iam, sts = (amazon(name, address, admin) for name in ("secretsmanager", "iam", "sts"))
        secrets = {
            role: str(manager.create_secret(Name=f"fleet/{role}", SecretString=f"of {role}")["ARN"])
            for role in ROLES
        }
        found: dict[str, Mapping[str, str]] = {}
        for role in ROLES:
            (given,) = (r for r in of_type(fleet, "aws:iam/role:Role") if r.name == f"aws-eu-west-1-{role}")
            made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=given.inputs["assumeRolePolicy"])
            iam.put_role_policy(
                RoleName=role, PolicyName="own", PolicyDocument=policy_of(fleet, role, secrets)
            )
            shown = sts.assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName=role)["Credentials"]
            found[role] = amazons(
                address, shown["AccessKeyId"], shown["SecretAccessKey"], shown["SessionToken"]
            )
        requests.post(f"{address}/moto-api/reset-auth", data="0", timeout=10)
        try:
            return all_answers(Account(address, found, secrets))
        finally:
            requests.post(f"{address}/moto-api/reset-auth", data="inf", timeout=10)


@pytest.fixture(scope="module")
def ours(fleet: list[Resource], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What the emulated services say, with the grants that the emulator derives from the same policies."""
    folder: Path = tmp_path_factory.mktemp("bucket")
    secrets = {role: f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:fleet/{role}-x" for role in ROLES}
    given = [resources.role(role) for role in ROLES]
    given += [
        resources.resource(
            resources.ROLE_POLICY, role, {"role": role, "policy": policy_of(fleet, role, secrets)}
        )
        for role in ROLES
    ]
    desired = DesiredState(
        buckets=(Bucket("aws", "bkt", folder),),
        grants=resources.desired(*given).grants,
        secrets={arn: f"of {role}" for role, arn in secrets.items()},
    )
    for key in ("health/there", "replies/there"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"1")
    identities = Identities()
    with emulator_of("aws", desired, identities) as address:
        shown = {role: identities.credentials("aws", f"arn:role/{role}") for role in ROLES}
        environs = {role: amazons(address, one.key_id, one.secret, one.token) for role, one in shown.items()}
        return all_answers(Account(address, environs, secrets))


def _fill(address: str, admin: Mapping[str, str]) -> None:
    for key in ("health/there", "replies/there"):
        amazon("s3", address, admin).put_object(Bucket="bkt", Key=key, Body=b"1")


def asked(account: Account, role: str, question: str) -> int:
    """The status that Amazon's own client gets for `question` as a role."""
    verb, _, what = question.partition(" ")
    environ = account.as_role[role]
    s3 = amazon("s3", account.address, environ)
    calls = {
        "put": lambda: s3.put_object(Bucket="bkt", Key=what, Body=b"1"),
        "get": lambda: s3.get_object(Bucket="bkt", Key=what),
        "delete": lambda: s3.delete_object(Bucket="bkt", Key=what),
        "list": lambda: s3.list_objects_v2(Bucket="bkt"),
    }
    if verb == "secret":
        return secret_status(account, environ, what)
    try:
        return int(calls[verb]()["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def secret_status(account: Account, environ: Mapping[str, str], what: str) -> int:
    """By the functions' own client; a refusal is 400 at Amazon and 403 in moto: both are a denial here."""
    try:
        read = read_secret(account.secrets[what], environ, time.time, lambda _: None)
    except SecretNotRead as error:
        return DENIED if re.search(r"status 40[03]", str(error)) else 0
    return 200 if read == f"of {what}" else 0


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_the_same_in_moto_and_in_ours(theirs: Answers, ours: Answers, role: str) -> None:
    """What the registered policy of each role allows, and nothing else."""
    assert ours[role] == EXPECTED[role]
    differing = {q: status for (one, q), status in MOTO_DIFFERS.items() if one == role}
    assert theirs[role] == {**EXPECTED[role], **differing}


def test_a_secret_that_was_deleted_is_not_read(fleet: list[Resource]) -> None:
    """With the recovery window that is registered: none, so that the name is free at once."""
    (window,) = {
        each.inputs["recoveryWindowInDays"] for each in of_type(fleet, "aws:secretsmanager/secret:Secret")
    }
    with moto() as address:
        environ = amazons(address)
        manager = amazon("secretsmanager", address, environ)
        made = manager.create_secret(Name="fleet/agent", SecretString="keys")
        assert read_secret(made["ARN"], environ, time.time, lambda _: None) == "keys"
        how: dict[str, Any] = (
            {"RecoveryWindowInDays": window} if window else {"ForceDeleteWithoutRecovery": True}
        )
        manager.delete_secret(SecretId=made["ARN"], **how)
        with pytest.raises(SecretNotRead, match=r"status 40[04]"):
            read_secret(made["ARN"], environ, time.time, lambda _: None)
        assert manager.create_secret(Name="fleet/agent", SecretString="others")["ARN"]


# Amazon's own models of its API: which operation takes the inputs of a type, and which input is which member.
MODELS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "aws:lambda/function:Function": ("lambda", "CreateFunction", {"name": "FunctionName"}),
    "aws:lambda/functionUrl:FunctionUrl": (
        "lambda",
        "CreateFunctionUrlConfig",
        {"authorizationType": "AuthType"},
    ),
    "aws:lambda/permission:Permission": ("lambda", "AddPermission", {"function": "FunctionName"}),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        "lambda",
        "PutFunctionEventInvokeConfig",
        {},
    ),
    "aws:scheduler/schedule:Schedule": ("scheduler", "CreateSchedule", {}),
    "aws:secretsmanager/secret:Secret": ("secretsmanager", "CreateSecret", {}),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "PutRetentionPolicy", {"name": "logGroupName"}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch", "PutMetricAlarm", {"name": "AlarmName"}),
    "aws:iam/role:Role": (
        "iam",
        "CreateRole",
        {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        "iam",
        "PutRolePolicy",
        {"role": "RoleName", "policy": "PolicyDocument"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ("s3", "PutBucketOwnershipControls", {}),
}
# Names of a region, tags and the like, and what the provider turns into another form or another call.
TURNED = {"region", "tags", "s3Bucket", "s3Key", "dimensions", "recoveryWindowInDays", "rule"}


def complaints(shape: Any, value: object, where: str) -> Iterator[str]:  # noqa: ANN401 - botocore is untyped
    """What Amazon's model says against a value: unknown member, wrong choice, length, range or pattern."""
    if shape.type_name == "structure" and isinstance(value, dict):
        known = {name.lower(): member for name, member in shape.members.items()}
        for name, inner in cast("dict[str, object]", value).items():
            if name.lower() not in known:
                yield f"{where}.{name}: unknown"
            else:
                yield from complaints(known[name.lower()], inner, f"{where}.{name}")
        return
    if shape.type_name == "list" and isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from complaints(shape.member, inner, where)
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size = len(value) if isinstance(value, str) else value
    if isinstance(size, int | float) and (
        (low is not None and size < low) or (high is not None and size > high)
    ):
        yield f"{where}: {size} is not within {low} and {high}"
    if isinstance(value, str):
        if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
            yield f"{where}: {value} is none of {shape.metadata['enum']}"
        pattern = shape.metadata.get("pattern")
        # Java's classes of characters are not Python's; made-up ARNs have no region.
        if pattern and "\\p" not in pattern and "arn:" not in value and not re.fullmatch(pattern, value):
            yield f"{where}: {value} does not match {pattern}"


def modelled(resource: Resource) -> Iterator[str]:
    service, operation, renamed = MODELS[resource.token]
    session: Any = get_session()
    shape = session.get_service_model(service).operation_model(operation).input_shape
    inputs = {renamed.get(name, name): value for name, value in resource.inputs.items() if name not in TURNED}
    yield from complaints(shape, inputs, resource.label)


def test_amazons_own_models_take_what_is_registered(fleet: list[Resource]) -> None:
    """Choices, lengths, ranges and patterns of every modelled type."""
    found = [each for each in fleet if each.token in MODELS]
    assert {each.token for each in found} == set(MODELS)
    assert [line for each in found for line in modelled(each)] == []


@pytest.mark.parametrize(
    ("token", "change", "said"),
    [
        ("aws:lambda/function:Function", {"runtime": "python2.6"}, "is none of"),
        ("aws:lambda/function:Function", {"memorySize": 64}, "is not within"),
        ("aws:lambda/function:Function", {"handler": "run it"}, "does not match"),
        ("aws:lambda/functionUrl:FunctionUrl", {"invokeMode": "STREAM"}, "is none of"),
        ("aws:scheduler/schedule:Schedule", {"flexibleTimeWindow": {"mode": "NONE"}}, "is none of"),
        ("aws:scheduler/schedule:Schedule", {"target": {"retries": 1}}, "unknown"),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"comparisonOperator": "More"}, "is none of"),
    ],
)
def test_a_wrong_input_is_found(fleet: list[Resource], token: str, change: dict[str, Any], said: str) -> None:
    """The models are read as they are meant."""
    one = of_type(fleet, token)[0]
    wrong = Resource(one.token, one.name, one.inputs | change, one.secret_inputs)
    assert said in " ".join(modelled(wrong))


def test_moto_takes_the_schedule(fleet: list[Resource]) -> None:
    """Created and read back as it was registered."""
    (given,) = of_type(fleet, "aws:scheduler/schedule:Schedule")
    asked = {title(key): titled(value) for key, value in given.inputs.items() if key != "region"}
    with moto() as address:
        scheduler = amazon("scheduler", address, amazons(address))
        scheduler.create_schedule(**asked)
        told = scheduler.get_schedule(Name=given.inputs["name"])
    assert {key: told[key] for key in asked} == asked


def title(name: str) -> str:
    return name[0].upper() + name[1:]


def titled(value: object) -> object:
    """Names and numbers as Amazon's API writes them."""
    if isinstance(value, dict):
        return {title(key): titled(inner) for key, inner in cast("dict[str, object]", value).items()}
    return int(value) if isinstance(value, float) else value
