"""Tests of the emulated AWS: delays, reserved names, refusals, quotas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.desired.derive import derive
from emulator.errors import CloudError, NotYetReady
from emulator.providers.aws import regions
from emulator.providers.aws.account import OPTED_IN, Settings, settings_resource
from emulator.providers.aws.common import (
    FUNCTION_URL,
    LOG_GROUP,
    PERMISSION,
    QUEUE,
    ROLE_POLICY,
    SCHEDULE,
    SECRET,
    SECRET_VERSION,
)
from emulator.providers.drift import drift
from emulator.providers.storage.resource_store import Resource
from infra.clouds.aws.web_adapter import layer
from infra.config import regions as program
from tests.emulator.account import BUCKET, FUNCTION, OBJECT, ROLE, Account
from tests.emulator.resources import trust

SECRET_NAME = "skyfleet-dev/signing-keys-0a1b2c3d"
DAY_S = 86_400
NEARLY = 0.01  # seconds are added up as floats


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """An account with the delays of the real cloud, on a clock that the test advances."""
    return Account(tmp_path, delays=1)


def policy(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": [action], "Resource": [resource]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ASYNC = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"


def trusting(service: str, **condition: object) -> str:
    document = json.loads(trust(service))
    document["Statement"][0]["Condition"] = condition
    return json.dumps(document)


def function(account: Account, role: Resource, **more: Any) -> Resource:  # noqa: ANN401 - JSON
    there = next(
        (resource for resource in account.table.resources.values() if resource.token == OBJECT), None
    )
    package = there or account.uploaded()
    return account.create(FUNCTION, "agent", **account.function_inputs(role, package, **more))


def test_a_function_waits_for_its_role_to_be_assumable(account: Account) -> None:
    """CreateFunction is refused at first, and the provider retries it."""
    role = account.role()
    function(account, role)
    assert 15 - NEARLY <= account.seconds < 300


def test_a_deleted_function_removes_its_url_and_its_policy(account: Account) -> None:
    """A refresh does not find them, so the next `up` creates them again."""
    role, package = account.role(), account.uploaded()
    resource = account.create(FUNCTION, "agent", name="agent", **account.function_inputs(role, package))
    other = account.create(FUNCTION, "b", name="agent-b", **account.function_inputs(role, package))
    account.create(FUNCTION_URL, "agent", functionName="agent", authorizationType="NONE")
    account.create(PERMISSION, "open", function="agent", action="lambda:InvokeFunction", principal="*")
    account.create(ASYNC, "agent", functionName="agent", maximumRetryAttempts=1)
    drift(account.operations, "aws", resource.key, None)
    left = {each.key for each in account.table.resources.values() if each.token.startswith("aws:lambda/")}
    assert left == {other.key}


def test_a_role_that_takes_longer_than_the_providers_retries_fails_only_this_up(
    account: Account,
) -> None:
    """The error has AWS's message, and the next run finds the created resources."""
    role = account.role()
    account.table.resources[role.key].private["effective_at"] = account.clock() + 900
    with pytest.raises(
        NotYetReady, match="The role defined for the function cannot be assumed by Lambda"
    ) as caught:
        function(account, role)
    waited = account.seconds
    account.wait(900)
    assert function(account, role).id
    assert (caught.value.code, waited >= 300 - NEARLY) == ("InvalidParameterValueException", True)


def test_a_secret_cannot_be_read_until_its_policy_is_effective(account: Account) -> None:
    """Secrets Manager denies the first start of a function and grants access later."""
    role = account.role()
    secret = account.create(SECRET, "keys", name=SECRET_NAME)
    account.create(SECRET_VERSION, "keys", secretId=secret.id, secretString="{}")
    allowed = policy("secretsmanager:GetSecretValue", secret.id)
    account.create(ROLE_POLICY, "agent", role=role.id, policy=allowed)
    before = account.operations.desired().grants
    account.wait(20.1)
    assert before == ()
    assert [grant.action for grant in account.operations.desired().grants] == ["secret:read"]


@pytest.mark.parametrize(
    ("days", "freed_s", "said"),
    [
        (0, 5, "because it was deleted"),
        (7, 7 * DAY_S, "a secret with this name is already scheduled for deletion"),
        (None, 30 * DAY_S, "a secret with this name is already scheduled for deletion"),
    ],
)
def test_a_secrets_name_is_reserved_for_its_recovery_window(
    account: Account, days: int | None, freed_s: float, said: str
) -> None:
    """Without a window it is reserved for seconds, so the provider waits; otherwise for a week or longer."""
    window = {} if days is None else {"recoveryWindowInDays": days}
    account.delete(account.create(SECRET, "keys", name=SECRET_NAME, **window))
    (left,) = account.operations.remaining()
    assert said in left["what"]
    began = account.seconds
    if days == 0:
        account.create(SECRET, "keys", name=SECRET_NAME, **window)
        assert freed_s - NEARLY <= account.seconds - began < 120
        return
    with pytest.raises(NotYetReady, match=said):
        account.create(SECRET, "keys", name=SECRET_NAME, **window)
    assert 120 - NEARLY <= account.seconds - began < 130
    account.wait(freed_s)
    account.create(SECRET, "keys", name=SECRET_NAME, **window)


def test_a_secret_of_the_former_program_cannot_be_created_again_within_a_week(account: Account) -> None:
    """With the inputs of commit 0db1ae2 a region that was removed and added again was refused."""
    before: dict[str, Any] = {
        "name": SECRET_NAME,
        "description": "Keys that sign requests between routers, checkers and agents",
        "recoveryWindowInDays": 7,
        "tags": {"skyfleet-stack": "dev", "skyfleet-role": "shared"},
    }
    account.delete(account.create(SECRET, "aws-eu-west-1", **before))
    account.wait(6 * DAY_S)
    with pytest.raises(CloudError, match="InvalidRequestException: You can't create this secret"):
        account.create(SECRET, "aws-eu-west-1", **before)


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        (QUEUE, {"name": "lost"}, "You must wait 60 seconds"),
        (BUCKET, {"bucket": "packages-1"}, "A conflicting conditional operation"),
    ],
)
def test_a_queues_and_a_buckets_name_are_free_after_a_minute(
    account: Account, token: str, inputs: dict[str, Any], said: str
) -> None:
    """The provider waits for this time, so a replacement succeeds."""
    account.delete(account.create(token, "one", **inputs))
    (left,) = account.operations.remaining()
    account.create(token, "one", **inputs)
    assert said in left["what"]
    assert 60 - NEARLY <= account.seconds < 65


def test_concurrent_updates_of_a_function_are_refused(account: Account) -> None:
    """The provider retries a refused update."""
    role = account.role()
    resource = function(account, role)
    began = account.seconds
    inputs: dict[str, Any] = {**resource.inputs, "memorySize": 256, "__defaults": []}
    account.update(resource, **inputs)
    assert 5 - NEARLY <= account.seconds - began < 300


def test_a_new_account_cannot_reserve_concurrency(account: Account) -> None:
    """All of its ten concurrent executions must remain unreserved."""
    role = account.role()
    with pytest.raises(CloudError, match=r"UnreservedConcurrentExecution below its minimum value of \[10\]"):
        function(account, role, reservedConcurrentExecutions=1)
    function(account, role)
    assert [each.max_instances for each in account.operations.desired().functions] == [10]


def test_an_old_account_keeps_a_hundred_unreserved(account: Account) -> None:
    """The reservations of all functions are counted against its thousand."""
    account.table.change(put=[settings_resource(Settings(concurrency=1000))])
    role = account.role()
    function(account, role, name="one", reservedConcurrentExecutions=500)
    with pytest.raises(CloudError, match=r"below its minimum value of \[100\]"):
        function(account, role, name="two", reservedConcurrentExecutions=401)
    function(account, role, name="three", reservedConcurrentExecutions=400)


@pytest.mark.parametrize("region", OPTED_IN)
def test_an_opt_in_region_is_unusable_until_the_account_enables_it(account: Account, region: str) -> None:
    """Credentials are invalid in the region; global services are not affected."""
    account.table.change(put=[settings_resource(Settings(closed=(region,)))])
    with pytest.raises(CloudError, match="UnrecognizedClientException: The security token") as caught:
        account.create(LOG_GROUP, "logs", name="/aws/lambda/agent", region=region)
    assert f"aws account enable-region --region-name {region}" in str(caught.value)
    account.role()
    account.table.change(put=[settings_resource(Settings())])
    account.create(LOG_GROUP, "logs", name="/aws/lambda/agent", region=region)


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        (layer("me-south-1"), "me-south-1"),
        (layer("me-central-1"), "me-central-1"),
        (layer("eu-west-1").rpartition(":")[0] + ":31", "eu-west-1"),
    ],
)
def test_a_missing_layer_is_an_access_error(account: Account, arn: str, region: str) -> None:
    """AWS does not distinguish a missing layer from a forbidden one."""
    with pytest.raises(CloudError, match=r"AccessDeniedException: .*to perform: lambda:GetLayerVersion"):
        function(account, account.role(), layers=[arn], region=region)


@pytest.mark.parametrize("region", sorted(regions.NO_FUNCTION_URLS))
def test_a_region_without_function_urls_refuses_one(account: Account, region: str) -> None:
    """The refusal comes after the creation of the function, so the program excludes such regions."""
    made = function(account, account.role(), region=region)
    with pytest.raises(CloudError, match=f"not supported in {region}"):
        account.create(FUNCTION_URL, "agent", functionName=made.id, authorizationType="NONE", region=region)


@pytest.mark.pure
def test_the_program_supports_only_regions_with_the_needed_services() -> None:
    """Its list is compared with the regions that the documents exclude."""
    offered = set(program.REGIONS["aws"])
    assert not offered & (regions.NO_FUNCTION_URLS | regions.NO_ADAPTER)
    assert set(program.UNFIT["aws"]) == regions.NO_FUNCTION_URLS | regions.NO_ADAPTER


def schedule(account: Account, assumed: str) -> Resource:
    role = account.create(ROLE, "scheduler", assumeRolePolicy=assumed)
    made = function(account, account.role())
    target = {"arn": made.outputs["arn"], "roleArn": role.outputs["arn"]}
    return account.create(
        SCHEDULE,
        "minute",
        scheduleExpression="rate(1 minute)",
        flexibleTimeWindow={"mode": "OFF"},
        target=target,
    )


def test_a_schedulers_role_may_be_bound_to_its_account(account: Account) -> None:
    """The scheduler sends the account for which it acts."""
    mine = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert schedule(account, trusting("scheduler.amazonaws.com", **mine)).id


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceAccount": "999999999999"}},
        {
            "StringEquals": {
                "aws:SourceArn": "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/default"
            }
        },
        {"ArnLike": {"aws:SourceArn": "arn:aws:scheduler:*:123456789012:schedule-group/*"}},
        {"NumericEquals": {"aws:SourceAccount": "123456789012"}},
    ],
)
def test_another_account_or_a_condition_on_the_source_is_refused(
    account: Account, condition: dict[str, object]
) -> None:
    """The check at the creation of a schedule sends no source ARN."""
    with pytest.raises(CloudError, match="must allow AWS EventBridge Scheduler to assume the role"):
        schedule(account, trusting("scheduler.amazonaws.com", **condition))


def test_a_log_group_that_lambda_created_is_kept_and_billed(account: Account) -> None:
    """A log group of the program is deleted with the stack; a role without permission creates none."""
    role = account.role()
    account.create(ROLE_POLICY, "logs", role=role.id, policy=policy("logs:*", "*"))
    managed = account.create(LOG_GROUP, "logs", name="/aws/lambda/mine")
    mine = account.create(FUNCTION, "mine", **account.function_inputs(role, account.uploaded(), name="mine"))
    account.delete(mine)
    account.delete(managed)
    assert account.operations.remaining() == []
    account.delete(
        account.create(FUNCTION, "wild", **account.function_inputs(role, account.uploaded("w.zip")))
    )
    (left,) = account.operations.remaining()
    assert (left["cloud"], left["costs"], left["until"]) == ("aws", "0.03 USD per GB and month", None)


def test_without_a_clock_every_grant_is_effective(account: Account) -> None:
    """Tests that read a table without a clock do not wait for delays."""
    role = account.role()
    account.create(ROLE_POLICY, "read", role=role.id, policy=policy("s3:GetObject", "arn:aws:s3:::b/*"))
    assert len(derive(account.table.resources, Path("/emulator")).grants) == 1
