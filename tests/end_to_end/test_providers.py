"""The real engine against the emulator's providers: a stack's whole life, mistakes, and engines that die."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from emulator.desired.model import DesiredState
from emulator.errors import ApplyError
from emulator.providers import leftovers
from infra.operations.stack.process_cleanup import end_session
from tests.end_to_end.stack import Gate, Stack, memory

pytestmark = pytest.mark.emulator

PROGRAM = """
import json, pulumi, pulumi_aws as aws, pulumi_random as random
trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
key = random.RandomPassword("key", length=20)
role = aws.iam.Role("agent", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
bucket = aws.s3.Bucket("packages")
package = aws.s3.BucketObjectv2("agent.zip", bucket=bucket.bucket, source=pulumi.FileAsset("agent.zip"))
agent = aws.lambda_.Function("agent", name="@name@", role=role.arn, runtime="python3.13", handler="run.sh",
    s3_bucket=package.bucket, s3_key=package.key, source_code_hash=package.etag, memory_size=@memory@,
    environment={"variables": {"API_KEY": key.result}}, tags={"skyfleet-role": "agent"})
url = aws.lambda_.FunctionUrl("agent", function_name=agent.name, authorization_type="NONE")
pulumi.export("url", url.function_url)
pulumi.export("account", aws.get_caller_identity().account_id)
pulumi.export("key", key.result)
"""
LIMITS = """
import pulumi_aws as aws
aws.sqs.Queue("slow", delay_seconds=901, visibility_timeout_seconds=-1)
"""
NOT_EMULATED = """
import pulumi_aws as aws
aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
"""
# A program in another language, or one that goes round the types.
UNTYPED = """
import pulumi
class Raw(pulumi.CustomResource):
    pass
Raw("aws:s3/bucketPolicy:BucketPolicy", "raw", {"polcy": "{}", "region": 5})
"""


@pytest.fixture
def stack(tmp_path: Path, pulumi_path: str) -> Generator[Stack]:
    stack = Stack(tmp_path, pulumi_path)
    stack.init()
    try:
        yield stack
    finally:
        stack.stop()


def test_the_life_of_a_stack(stack: Stack) -> None:
    """Preview, up, up again, change in place, replace, restart, drift, destroy: each as in the cloud."""
    stack.program(PROGRAM, name="agent", memory=256)
    said = stack.run("preview")
    assert said.code == 0, said.text
    assert "aws:lambda:Function" in said.text
    assert "aws:s3:BucketObjectv2" in said.text
    assert dict(stack.resource_store.resources) == {}

    said = stack.up()
    assert said.code == 0, said.text
    assert 'account: "123456789012"' in said.text.replace("  ", " ").replace("account ", "account")
    (function,) = stack.worlds[-1].functions
    assert said.text.count("[secret]") >= 1
    assert function.environment["API_KEY"] not in said.text
    assert f"http://{function.authority}/" in said.text

    again = stack.run("up", "--yes", "--expect-no-changes")
    assert again.code == 0, again.text

    stack.program(PROGRAM, name="agent", memory=512)
    said = stack.up()
    assert "~ memorySize: 256 => 512" in said.text, said.text
    assert "1 updated" in said.text
    assert memory(stack.worlds[-1]) == {"agent": 512}

    stack.stop()
    stack.start()
    stack.package("two")
    stack.program(PROGRAM, name="renamed", memory=512)
    said = stack.up()
    assert said.code == 0, said.text
    assert "+-aws:lambda/function:Function: (replace)" in said.text.replace(" ", "").replace(
        "(replace)", " (replace)"
    )
    assert memory(stack.worlds[-1]) == {"renamed": 512}
    assert stack.worlds[-1].functions[0].package_hash != function.package_hash

    (lost,) = (stack.emulator / "buckets" / "aws").glob("*/agent.zip")
    lost.unlink()
    said = stack.run("refresh", "--yes")
    assert "1 deleted" in said.text, said.text
    said = stack.up()
    assert said.code == 0, said.text
    assert "1 created" in said.text

    said = stack.run("destroy", "--yes")
    assert said.code == 0, said.text
    # The bucket's name stays taken for a moment.
    assert [
        resource.key
        for resource in stack.resource_store.resources.values()
        if resource.token != leftovers.TOKEN
    ] == []
    assert stack.worlds[-1] == DesiredState()


@pytest.mark.parametrize(
    ("program", "mistakes"),
    [
        (
            LIMITS,
            [
                "delaySeconds: must be 0 to 900 seconds, got 901",
                "visibilityTimeoutSeconds: must be 0 to 43200 seconds, got -1",
            ],
        ),
        (NOT_EMULATED, ["does not emulate aws:ec2/vpc:Vpc; it has: aws:cloudwatch/logGroup:LogGroup, "]),
        (
            UNTYPED,
            [
                "polcy: unknown property 'polcy' (did you mean policy?)",
                "region: expected text, got 5",
                "bucket: missing required property 'bucket'",
                "policy: missing required property 'policy'",
            ],
        ),
    ],
    ids=["limits", "not emulated", "untyped"],
)
def test_all_mistakes_of_a_resource_are_told_at_once(stack: Stack, program: str, mistakes: list[str]) -> None:
    """Values no cloud takes, types the emulator has not, properties the SDK has not; nothing is made."""
    stack.program(program)
    said = stack.run("preview")
    assert said.code != 0
    assert [mistake for mistake in mistakes if mistake not in said.text] == [], said.text
    assert dict(stack.resource_store.resources) == {}


def test_a_package_that_does_not_start_fails_the_deployment(stack: Stack) -> None:
    """The message of the hosts comes through, and what ran before goes on running."""
    stack.program(PROGRAM, name="agent", memory=256)
    assert stack.up().code == 0

    def hosts(desired: DesiredState) -> None:
        if 512 in memory(desired).values():
            raise ApplyError("aws/eu-west-1/agent", "functions/agent.py line 7: invalid syntax")

    stack.hosts = hosts
    stack.program(PROGRAM, name="agent", memory=512)
    said = stack.up()
    assert said.code != 0
    assert "functions/agent.py line 7: invalid syntax" in said.text, said.text
    assert memory(stack.worlds[-1]) == {"agent": 256}


def test_the_next_deployment_recovers_from_a_killed_engine(stack: Stack) -> None:
    """kill -9 while a function is made: it was made, and is adopted by name."""
    stack.program(PROGRAM, name="agent", memory=256)
    gate = Gate()
    stack.hosts = gate
    with stack.popen("up", "--yes", "--skip-preview") as engine:
        gate.reached.wait()
        os.kill(engine.pid, signal.SIGKILL)
        end_session(engine.pid)  # its language host sits in a group of its own and would stay for ever
        engine.communicate()
    gate.opened.set()
    stack.run("cancel", "--yes")
    said = stack.up()
    assert said.code == 0, said.text
    assert memory(stack.worlds[-1]) == {"agent": 256}
    assert stack.run("up", "--yes", "--expect-no-changes").code == 0
