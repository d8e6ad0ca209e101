"""Tests of the AWS resources that the program registers: account rules, quotas, security."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from infra.clouds.aws import web_adapter
from infra.config.parse import parse_settings
from infra.config.regions import REGIONS, UNFIT
from infra.errors import ConfigError
from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

FUNCTION = "aws:lambda/function:Function"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
SECRET = "aws:secretsmanager/secret:Secret"
ACCOUNT = "123456789012"
# The vendors' limits of a name: IAM and STS quotas, Lambda's FunctionName, EventBridge Scheduler's and SQS's
# Name, CloudWatch's AlarmName, CloudWatch Logs' logGroupName, S3's bucket naming rules, Secrets Manager's
# Name less the dash and six characters that its ARN appends (API references of each service).
NAMES: Mapping[str, tuple[str, str]] = {
    "aws:iam/role:Role": ("name", r"[\w+=,.@-]{1,64}"),
    FUNCTION: ("name", r"[a-zA-Z0-9_-]{1,64}"),
    "aws:scheduler/schedule:Schedule": ("name", r"[0-9a-zA-Z_.-]{1,64}"),
    "aws:sqs/queue:Queue": ("name", r"[a-zA-Z0-9_-]{1,80}"),
    ALARM: ("name", r".{1,255}"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", r"[.\-_/#A-Za-z0-9]{1,512}"),
    "aws:s3/bucket:Bucket": ("bucket", r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    SECRET: ("name", r"[\w/+=.@-]{1,505}"),
}


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on AWS alone."""
    return recorded(settings_for("aws"), tmp_path_factory.mktemp("packages"))


def by_role(fleet: list[Resource], token: str) -> dict[str, dict[str, Any]]:
    return {each.labels["skyfleet-role"]: each.inputs for each in of_type(fleet, token)}


def test_functions_run_behind_a_released_adapter(amazon: list[Resource]) -> None:
    """One constant names release and layer of the adapter, and every function has that layer."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", web_adapter.RELEASE)
    layers = {layer for inputs in by_role(amazon, FUNCTION).values() for layer in inputs["layers"]}
    assert layers == {"arn:aws:lambda:eu-west-1:753240598075:layer:LambdaAdapterLayerX86:30"}


def test_5xx_replies_raise_an_alarm_although_their_invocations_succeed(amazon: list[Resource]) -> None:
    """The alarm of a function with a URL counts its 5xx replies; a checker's counts failed invocations."""
    alarms = by_role(amazon, ALARM)
    assert {role: alarm["metricName"] for role, alarm in alarms.items()} == {
        "agent": "Url5xxCount",
        "router": "Url5xxCount",
        "checker": "Errors",
    }
    for alarm in alarms.values():
        assert (alarm["namespace"], alarm["statistic"], alarm["threshold"]) == ("AWS/Lambda", "Sum", 0)
        assert list(alarm["dimensions"]) == ["FunctionName"]


def test_only_a_checkers_500_fails_its_invocation(amazon: list[Resource]) -> None:
    """The adapter fails the invocation for these statuses, which would hide an agent's 500 from clients."""
    failing = {
        role: inputs["environment"]["variables"].get("AWS_LWA_ERROR_STATUS_CODES")
        for role, inputs in by_role(amazon, FUNCTION).items()
    }
    assert failing == {"agent": None, "router": None, "checker": "500-599"}


def test_no_concurrency_is_reserved_by_default(tmp_path: Path) -> None:
    """A new account cannot reserve any; with a setting, checkers share the unreserved rest."""
    given = by_role(recorded(settings_for("aws"), tmp_path), FUNCTION)
    assert not [role for role, inputs in given.items() if "reservedConcurrentExecutions" in inputs]
    asked = by_role(recorded(settings_for("aws", aws={"concurrency": 40}), tmp_path), FUNCTION)
    assert {role: inputs.get("reservedConcurrentExecutions") for role, inputs in asked.items()} == {
        "agent": 40,
        "router": 40,
        "checker": None,
    }


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"concurrency": 0}, "skyfleet:aws.concurrency: got 0"),
        ({"concurrency": 1.5}, "skyfleet:aws.concurrency: got 1.5"),
        ({"concurrency": "all"}, "skyfleet:aws.concurrency: got 'all'"),
        ({"concurency": 5}, "skyfleet:aws.concurency: got an unknown key"),
        (5, "skyfleet:aws: got 5; expected a mapping"),
    ],
)
def test_a_wrong_concurrency_is_a_mistake_of_the_config(given: object, said: str) -> None:
    """It is found before the deployment."""
    with pytest.raises(ConfigError) as caught:
        settings_for("aws", aws=given)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(said)


def test_a_schedulers_role_is_limited_to_its_own_account(amazon: list[Resource]) -> None:
    """This prevents a confused deputy; a condition on the source's ARN would fail CreateSchedule."""
    trusts = [json.loads(role.inputs["assumeRolePolicy"]) for role in of_type(amazon, "aws:iam/role:Role")]
    statements = {each["Statement"][0]["Principal"]["Service"]: each["Statement"][0] for each in trusts}
    assert statements["scheduler.amazonaws.com"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT}
    }


def test_the_name_of_a_deleted_secret_is_free_immediately(amazon: list[Resource]) -> None:
    """A region that is removed and added again has a secret of the same name."""
    assert {secret.inputs["recoveryWindowInDays"] for secret in of_type(amazon, SECRET)} == {0}


@pytest.mark.pure
@pytest.mark.parametrize("region", UNFIT["aws"])
def test_an_unsupported_region_is_refused_with_the_reason(region: str) -> None:
    """Function URLs or the adapter's layer are not available there."""
    assert region not in REGIONS["aws"]
    with pytest.raises(ConfigError) as caught:
        parse_settings({"skyfleet:clouds": {"aws": {"regions": [region]}}}, "dev")
    (said,) = caught.value.mistakes
    assert f"got {region!r}" in said
    assert "there" in said


def test_names_fit_for_the_longest_stack_and_region(tmp_path: Path) -> None:
    """All names, with their suffixes, are unique and within the limits."""
    longest = sorted(REGIONS["aws"], key=len, reverse=True)[:2]
    stack: dict[str, object] = {
        "skyfleet:clouds": {"aws": {"regions": longest}},
        "skyfleet:name": "sixteen-letters1",
    }
    fleet = recorded(
        parse_settings(stack, "a-stack-of-a-name-that-goes-on-and-on-for-very-long-too"), tmp_path
    )
    for token, (prop, pattern) in NAMES.items():
        found = [cast("str", each.inputs[prop]) for each in of_type(fleet, token)]
        assert found, token
        for name in found:
            assert re.fullmatch(pattern, name), (token, name)
    roles = [each.inputs["name"] for each in of_type(fleet, "aws:iam/role:Role")]
    assert len(roles) == len(set(roles))
