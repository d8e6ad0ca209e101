"""Tests of the desired state of AWS's and Google's resources: functions, access, schedules."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.desired import periods
from emulator.desired.model import Grant
from emulator.providers.gcp import common as gcp
from emulator.providers.storage.resource_store import Resource
from tests.emulator.resources import (
    EMULATOR,
    allows,
    both_permissions,
    desired,
    function_url,
    lambda_function,
    only,
    permission,
    resource,
    role,
    schedule,
)

pytestmark = pytest.mark.pure

LAYER = "arn:aws:lambda:eu-west-1:753240598075:layer:LambdaAdapterLayerX86:26"
INVOKER = "roles/run.invoker"


def test_an_empty_table_has_an_empty_desired_state() -> None:
    """Nothing runs before a resource exists."""
    assert desired().functions == ()


def test_a_lambda_function_has_its_configuration() -> None:
    """Limits, code, identity and variables come from the resource."""
    function = only(
        desired(
            lambda_function(
                memorySize=512,
                timeout=30,
                reservedConcurrentExecutions=7,
                environment={"variables": {"AA": "b"}},
            )
        )
    )
    assert (function.key, function.role, function.entry) == ("aws/eu-west-1/agent", "agent", "run.sh")
    assert (function.memory_mb, function.timeout_s, function.max_instances) == (512, 30, 7)
    assert (function.concurrency, function.runtime, function.principal) == (
        1,
        "python3.13",
        "arn:role/agent",
    )
    assert function.environment == {"AA": "b"}
    assert function.package == EMULATOR / "code" / f"{'ab' * 32}.zip"


def test_a_function_without_a_url_has_no_port() -> None:
    """Only a function URL opens a port."""
    function = only(desired(lambda_function()))
    assert (function.port, function.closed) == (None, None)


def test_a_public_url_needs_both_permissions() -> None:
    """Only a URL with both permissions is public."""
    function = only(desired(lambda_function(), function_url(), *both_permissions()))
    assert (function.port, function.closed) == (4001, None)


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (0, "lambda:InvokeFunction"),
        (1, "lambda:InvokeFunctionUrl"),
    ],
)
def test_a_url_with_one_permission_is_closed_with_the_missing_one_as_reason(kept: int, missing: str) -> None:
    """Since October 2025 AWS answers 403 for a URL with one of the two permissions."""
    closed = only(desired(lambda_function(), function_url(), both_permissions()[kept])).closed
    assert closed is not None
    assert closed.endswith(missing)


def test_a_permission_of_another_principal_does_not_open_the_url() -> None:
    """A scheduler's permission to invoke does not make the URL public."""
    resources = (permission("a", "lambda:*", principal="events.amazonaws.com"),)
    assert only(desired(lambda_function(), function_url(), *resources)).closed is not None


def test_a_url_with_iam_authorization_is_closed_to_unsigned_requests() -> None:
    """AWS_IAM requires signed requests, regardless of the permissions."""
    closed = only(desired(lambda_function(), function_url(kind="AWS_IAM"), *both_permissions())).closed
    assert closed is not None
    assert "AWS_IAM" in closed


@pytest.mark.parametrize(
    ("variables", "layers", "expected"),
    [
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"}, [LAYER], True),
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"}, [], False),
        ({}, [LAYER], False),
    ],
)
def test_the_web_adapter_needs_its_layer_and_its_wrapper(
    variables: dict[str, str], layers: list[str], expected: bool
) -> None:
    """The layer contains the program, and the variable makes Lambda start it."""
    function = only(desired(lambda_function(environment={"variables": variables}, layers=layers)))
    assert function.web_adapter is expected


def test_policies_become_grants_without_amazons_prefix() -> None:
    """Grants have the names of buckets and the ARNs of secrets."""
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys-ab12cd"
    found = desired(
        role("agent"),
        allows("agent", ["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::state/health/*"),
        allows("agent", "s3:List*", ["arn:aws:s3:::state"]),
        allows("agent", "secretsmanager:GetSecretValue", secret),
    )
    assert set(found.grants) == {
        Grant("arn:role/agent", "object:read", "state/health/*"),
        Grant("arn:role/agent", "object:write", "state/health/*"),
        Grant("arn:role/agent", "object:list", "state"),
        Grant("arn:role/agent", "secret:read", secret),
    }


def test_a_schedule_fires_its_function_when_its_role_may_invoke_it() -> None:
    """The role trusts the scheduler and has the permission on the function."""
    found = desired(
        lambda_function(),
        role("scheduler", "scheduler.amazonaws.com"),
        allows("scheduler", "lambda:InvokeFunction", "arn:aws:lambda:*:function:agent"),
        schedule(),
    )
    assert [(s.function, s.every_minutes, s.refused) for s in found.schedules] == [
        ("aws/eu-west-1/agent", 1, None)
    ]


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ((role("scheduler"),), "does not trust scheduler.amazonaws.com"),
        ((role("scheduler", "scheduler.amazonaws.com"),), "may not lambda:InvokeFunction"),
        ((), "does not exist"),
    ],
)
def test_a_schedule_without_permission_is_refused_with_the_reason(
    resources: tuple[Resource, ...], reason: str
) -> None:
    """EventBridge would fail silently; the emulator reports the missing permission."""
    (found,) = desired(lambda_function(), schedule(), *resources).schedules
    assert found.refused is not None
    assert reason in found.refused


def test_a_disabled_schedule_is_left_out() -> None:
    """A schedule that never fires needs no entry."""
    assert desired(schedule(state="DISABLED")).schedules == ()


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("* * * * *", 1),
        ("*/5 * * * *", 5),
        ("0,30 * * * *", 30),
        ("0 * * * *", 60),
        ("0 9 * * *", 1440),
        ("0 9-17/2 * * *", 288),
        ("0 9 * * MON-FRI", 2016),
    ],
)
def test_a_cron_expression_is_a_mean_period(expression: str, minutes: float) -> None:
    """The fields for minutes and hours of both clouds are read."""
    assert periods.of_cron(expression) == pytest.approx(minutes)


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("rate(5 minutes)", 5),
        ("rate(1 hour)", 60),
        ("cron(*/2 * * * ? *)", 2),
        ("at(2030-01-01T00:00:00)", 0),
    ],
)
def test_an_eventbridge_expression_is_a_period(expression: str, minutes: float) -> None:
    """`at` fires once and has no period."""
    assert periods.of_rate(expression) == minutes


def google(secret: bool = False) -> tuple[Resource, ...]:
    """A function and, with `secret`, its secret."""
    variable = {"key": "KEYS", "projectId": "p", "secret": "keys", "version": "1"}
    service = {
        "availableMemory": "512Mi",
        "timeoutSeconds": 60,
        "maxInstanceRequestConcurrency": 8,
        "maxInstanceCount": 3,
        "serviceAccountEmail": "agent@p.iam.gserviceaccount.com",
        "environmentVariables": {"AA": "b"},
        **({"secretEnvironmentVariables": [variable]} if secret else {}),
    }
    inputs = {
        "name": "agent",
        "location": "europe-west1",
        "project": "p",
        "buildConfig": {"runtime": "python313", "entryPoint": "main"},
        "serviceConfig": service,
        "labels": {"skyfleet-role": "checker"},
    }
    private = {"package": "cd" * 32, "port": 4002}
    service |= {"uri": "http://127.0.0.1:4002"}
    outputs = {"url": "http://127.0.0.1:4002/agent", "serviceConfig": service}
    function = resource(gcp.FUNCTION, "f", inputs, outputs=outputs, private=private)
    if not secret:
        return (function,)
    version = {"secret": "projects/p/secrets/keys", "secretData": "s3cret"}
    return function, resource(gcp.SECRET_VERSION, "v1", version, outputs={"version": "1"})


def invoker(member: str) -> Resource:
    inputs = {"name": "agent", "location": "europe-west1", "role": INVOKER, "member": member}
    return resource(gcp.SERVICE_MEMBER, member, inputs)


def accessor(member: str) -> Resource:
    return resource(gcp.SECRET_MEMBER, member, {"secretId": "keys", "role": gcp.ACCESSOR, "member": member})


def test_a_google_function_has_its_configuration() -> None:
    """Concurrency and limits come from the service, the role from the label."""
    function = only(desired(*google(), invoker("allUsers")))
    assert (function.key, function.role, function.port) == ("gcp/europe-west1/agent", "checker", 4002)
    assert (function.memory_mb, function.concurrency, function.max_instances) == (512, 8, 3)
    assert (function.closed, function.principal) == (None, "agent@p.iam.gserviceaccount.com")


def test_a_google_function_is_closed_without_the_invoker_role() -> None:
    """Without allUsers Cloud Run answers 403 to a caller without a token."""
    closed = only(desired(*google(), invoker("serviceAccount:x@p.iam.gserviceaccount.com"))).closed
    assert closed is not None
    assert "allUsers" in closed


def test_a_secret_variable_is_resolved_for_an_account_that_may_read_it() -> None:
    """The function's account needs access to the secret."""
    may = accessor("serviceAccount:agent@p.iam.gserviceaccount.com")
    function = only(desired(*google(secret=True), may, invoker("allUsers")))
    assert function.environment == {"AA": "b", "KEYS": "s3cret"}
    assert function.closed is None


def test_a_function_without_its_secret_is_closed() -> None:
    """Cloud Run could not start a new instance."""
    other = accessor("serviceAccount:other@p.iam.gserviceaccount.com")
    closed = only(desired(*google(secret=True), other, invoker("allUsers"))).closed
    assert closed is not None
    assert "may not read the secret keys" in closed


@pytest.mark.parametrize(
    ("expression", "granted"),
    [
        (None, {(f"object:{action}", "b") for action in ("read", "write", "delete", "list")}),
        (
            "b/objects/replies/",
            {(f"object:{action}", "b/replies/*") for action in ("read", "write", "delete")},
        ),
        ("another/objects/replies/", set[tuple[str, str]]()),
    ],
)
def test_a_condition_narrows_a_role_to_names_that_begin_alike(
    expression: str | None, granted: set[tuple[str, str]]
) -> None:
    """A condition on objects does not cover listings, which are requests to the bucket."""
    given: dict[str, Any] = {
        "bucket": "b",
        "role": "roles/storage.objectUser",
        "member": "serviceAccount:a@p",
    }
    if expression is not None:
        text = f'resource.name.startsWith("projects/_/buckets/{expression}")'
        given["condition"] = {"title": "only replies", "expression": text}
    grants = desired(resource(gcp.BUCKET_MEMBER, "m", given)).grants
    assert {(grant.action, grant.resource) for grant in grants} == granted


def job(email: str, audience: str = "http://127.0.0.1:4002") -> Resource:
    target = {
        "uri": "http://127.0.0.1:4002/",
        "oidcToken": {"serviceAccountEmail": email, "audience": audience},
    }
    inputs = {"name": "minute", "region": "europe-west1", "schedule": "* * * * *", "httpTarget": target}
    return resource(gcp.JOB, "j", inputs)


@pytest.mark.parametrize(
    ("email", "audience", "reason"),
    [
        ("scheduler@p", "http://127.0.0.1:4002", None),
        ("scheduler@p", "https://elsewhere.example", "meant for https://elsewhere.example"),
        ("other@p", "http://127.0.0.1:4002", "other@p has not roles/run.invoker"),
    ],
)
def test_a_job_fires_with_an_invokers_token_for_that_service(
    email: str, audience: str, reason: str | None
) -> None:
    """The account must be an invoker, and the token's audience must be the service."""
    found = desired(*google(), invoker("serviceAccount:scheduler@p"), job(email, audience))
    (entry,) = found.schedules
    assert entry.function == "gcp/europe-west1/agent"
    assert (entry.refused is None) if reason is None else (entry.refused and reason in entry.refused)


def test_a_condition_on_a_project_narrows_a_role_to_buckets_that_begin_alike() -> None:
    """A builder can read only the buckets of sources."""
    given: dict[str, Any] = {
        "project": "p",
        "role": "roles/storage.objectViewer",
        "member": "serviceAccount:a@p",
        "condition": {
            "title": "only sources",
            "expression": 'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-")',
        },
    }
    grants = desired(resource(gcp.PROJECT_MEMBER, "m", given)).grants
    assert {grant.resource for grant in grants} == {"gcf-v2-sources-*"}


@pytest.mark.parametrize(("path", "refused"), [("", False), ("/agent", True)])
def test_the_scheduler_is_internal_at_the_services_own_address_only(path: str, refused: bool) -> None:
    """A service with internal ingress accepts the scheduler at its run.app URL."""
    function = google()[0]
    function.inputs["serviceConfig"]["ingressSettings"] = "ALLOW_INTERNAL_ONLY"
    function.outputs["serviceConfig"]["uri"] = "http://127.0.0.1:4002"
    function.outputs["url"] = "http://127.0.0.9:4002/agent"
    fired = job("scheduler@p", f"http://127.0.0.{'9' if path else '1'}:4002{path}")
    fired.inputs["httpTarget"]["uri"] = fired.inputs["httpTarget"]["oidcToken"]["audience"]
    (entry,) = desired(function, invoker("serviceAccount:scheduler@p"), fired).schedules
    assert (entry.refused is not None) is refused
