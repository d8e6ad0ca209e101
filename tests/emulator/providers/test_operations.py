"""Tests of operations on resources: refusals, and atomic changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.desired.model import DesiredState
from emulator.errors import ApplyError, CloudError, StoreError
from tests.emulator.account import BUCKET, FUNCTION, OBJECT, ROLE, Account, Mistakes
from tests.emulator.resources import trust


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def functions(desired: DesiredState) -> list[tuple[str, int]]:
    return [(function.name, function.memory_mb) for function in desired.functions]


def test_a_generated_name_is_stable(account: Account) -> None:
    """It has the AWS provider's form: the logical name, a dash and seven hexadecimal digits."""
    role = account.role()
    updated = account.update(role, assumeRolePolicy=trust("lambda.amazonaws.com"), description="new")
    name, dash, suffix = role.id.partition("-")
    assert (name, dash, len(suffix), int(suffix, 16) > 0) == ("agent", "-", 7, True)
    assert updated.id == role.id


def test_the_runtime_gets_only_changes_of_running_functions(account: Account) -> None:
    """A role or a bucket alone does not change the desired state of functions."""
    role, package = account.role(), account.uploaded()
    before = [functions(desired) for desired in account.applied]
    resource = account.create(FUNCTION, "agent", **account.function_inputs(role, package))
    assert all(found == [] for found in before)
    assert functions(account.applied[-1]) == [(resource.id, 128)]


def test_a_function_that_cannot_start_changes_nothing(tmp_path: Path) -> None:
    """The operation fails with the reason, and the former desired state is applied again."""

    def hosts(desired: DesiredState) -> None:
        for function in desired.functions:
            if function.memory_mb == 512:
                raise ApplyError(function.key, "main.py line 3: no module named nothing")

    account = Account(tmp_path, hosts)
    inputs = account.function_inputs(account.role(), account.uploaded())
    resource = account.create(FUNCTION, "agent", **inputs)
    with pytest.raises(CloudError, match=r"DeploymentFailed: .*main\.py line 3"):
        account.update(resource, **inputs, memorySize=512)
    assert account.table.resources[resource.key] == resource
    assert functions(account.applied[-1]) == [(resource.id, 128)]


def test_a_broken_function_does_not_stop_other_operations(tmp_path: Path) -> None:
    """A stack with a function that does not start can be destroyed."""
    broken: list[str] = []

    def hosts(desired: DesiredState) -> None:
        for function in desired.functions:
            if function.key in broken:
                raise ApplyError(function.key, "gone")

    account = Account(tmp_path, hosts)
    inputs = account.function_inputs(account.role(), account.uploaded())
    first, second = (account.create(FUNCTION, name, **inputs) for name in ("first", "second"))
    broken.append(f"aws/eu-west-1/{first.id}")
    account.delete(second)
    account.delete(first)
    assert account.applied[-1].functions == ()


def test_a_function_keeps_the_code_of_its_deployment(account: Account) -> None:
    """Lambda copies the package, so a replaced or deleted object does not change a running function."""
    package = account.uploaded()
    account.create(FUNCTION, "agent", **account.function_inputs(account.role(), package))
    (function,) = account.applied[-1].functions
    content = function.package.read_bytes()
    account.update(package, bucket=package.outputs["bucket"], source=account.package(main="other"))
    account.delete(account.table.resources[package.key])
    assert function.package.read_bytes() == content


def test_unused_packages_are_removed(account: Account) -> None:
    """The emulator's folder does not grow with every deployment."""
    resource = account.create(
        FUNCTION, "agent", **account.function_inputs(account.role(), account.uploaded("first.zip"))
    )
    second = account.uploaded("second.zip")
    account.update(resource, **{**resource.inputs, "s3Key": second.outputs["key"]} | {"__defaults": []})
    (function,) = account.applied[-1].functions
    assert list(function.package.parent.glob("*")) == [function.package]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"memorySize": 64}, "memorySize: must be 128 to 10240 MB, got 64"),
        ({"timeout": 901}, "timeout: must be 1 to 900 seconds, got 901"),
        ({"runtime": "python2.7"}, "runtime: must be one of python3.10"),
        ({"environment": {"variables": {"AWS_REGION": "x"}}}, "reserved keys cannot be set: AWS_REGION"),
        ({"environment": {"variables": {"AA": "x" * 5000}}}, "Lambda's limit is 4096"),
        ({"layers": ["arn:aws:lambda:eu-west-1:1:layer:x:1"]}, "only the layer of the Lambda Web Adapter"),
        ({"s3Key": None}, "s3Bucket needs s3Key"),
        ({"name": "a b"}, "must be 1 to 64 letters"),
    ],
)
def test_lambdas_limits_are_checked_before_anything_happens(
    account: Account, more: dict[str, Any], said: str
) -> None:
    """A preview reports the violations."""
    inputs = {"role": "r", "runtime": "python3.13", "handler": "h", "s3Bucket": "b", "s3Key": "k", **more}
    with pytest.raises(Mistakes, match=said.replace("'", ".")):
        account.checked(FUNCTION, "agent", inputs, {})


def test_a_functions_role_must_exist_and_trust_lambda(account: Account) -> None:
    """Lambda refuses a role that it cannot assume."""
    package = account.uploaded()
    other = account.create(ROLE, "other", assumeRolePolicy=trust("ec2.amazonaws.com"))
    with pytest.raises(CloudError, match="cannot be assumed by Lambda"):
        account.create(FUNCTION, "agent", **account.function_inputs(other, package))


def test_a_functions_code_must_exist(account: Account) -> None:
    """The error is that of S3."""
    package = account.uploaded()
    inputs = account.function_inputs(account.role(), package, s3Key="nothing.zip")
    with pytest.raises(CloudError, match="NoSuchKey"):
        account.create(FUNCTION, "agent", **inputs)


def test_a_package_must_be_a_zip_file(account: Account) -> None:
    """The error comes at the deployment and not with the first request."""
    package = account.uploaded()
    account.update(package, bucket=package.outputs["bucket"], content="no zip")
    with pytest.raises(CloudError, match="is not a zip file"):
        account.create(FUNCTION, "agent", **account.function_inputs(account.role(), package))


def test_a_taken_name_is_refused_with_the_clouds_message(account: Account) -> None:
    """The existing role of that name is not changed."""
    account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    with pytest.raises(CloudError, match=r"EntityAlreadyExists: .*already exists, made as .*::one"):
        account.create(ROLE, "two", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))


def test_a_resource_of_a_killed_engine_is_adopted(account: Account) -> None:
    """A resource of the same stack with equal inputs needs no operation."""
    made = account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    again = account.create(
        ROLE, "one", "another run", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com")
    )
    assert again == made


def test_a_resource_of_a_killed_engine_with_a_generated_name_is_adopted(account: Account) -> None:
    """The engine does not know its name, and a second resource would leave the first one behind."""
    inputs = {"assumeRolePolicy": trust("lambda.amazonaws.com")}
    made = account.create(ROLE, "one", "first run", **inputs)
    assert account.create(ROLE, "one", "second run", **inputs) == made
    other = account.create(ROLE, "one", "third run", **inputs, description="another")
    assert other.id != made.id


def test_a_resource_of_a_killed_engine_with_other_inputs_is_an_error_with_advice(account: Account) -> None:
    """The message has the command that imports it into the stack."""
    account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    with pytest.raises(CloudError, match="pulumi import 'aws:iam/role:Role' 'one' 'agent'"):
        account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("ec2.amazonaws.com"))


def test_an_adopted_resource_survives_the_deletion_of_its_former_self(account: Account) -> None:
    """A forced replacement creates, and thus adopts, the resource before it deletes the former one."""
    inputs = {"name": "agent", "assumeRolePolicy": trust("lambda.amazonaws.com")}
    account.create(ROLE, "one", "first run", **inputs)
    resource = account.create(ROLE, "one", "second run", **inputs)
    account.delete(resource, "second run")
    kept = dict(account.table.resources)
    account.delete(resource, "third run")
    assert (set(kept), dict(account.table.resources)) == ({resource.key}, {})


def test_a_deletion_can_be_repeated(account: Account) -> None:
    """The engine repeats an interrupted deletion."""
    role = account.role()
    account.delete(role)
    account.delete(role)
    assert dict(account.table.resources) == {}


def test_a_bucket_with_objects_is_kept_unless_forced(account: Account) -> None:
    """Objects written by functions count too."""
    bucket = account.create(BUCKET, "state")
    written = account.folder / "emulator" / "buckets" / "aws" / bucket.id / "health" / "a.json"
    written.parent.mkdir(parents=True)
    written.write_text("{}")
    with pytest.raises(CloudError, match=r"BucketNotEmpty: .*health/a\.json"):
        account.delete(bucket)
    account.update(bucket, forceDestroy=True)
    account.delete(bucket)
    assert not written.parents[1].exists()


def test_an_object_has_the_planned_content(account: Account) -> None:
    """A file that changed between plan and upload is refused, and no object is created."""
    bucket = account.create(BUCKET, "state")
    asset = {**account.package(), "hash": "0" * 64}
    with pytest.raises(CloudError, match="PackageChanged"):
        account.create(OBJECT, "o", bucket=bucket.id, source=asset)
    assert list((account.folder / "emulator" / "buckets" / "aws" / bucket.id).iterdir()) == []


def test_a_full_disk_fails_the_operation_and_nothing_else(account: Account) -> None:
    """Object, table and desired state are unchanged."""
    package = account.uploaded()
    path = account.folder / "emulator" / "buckets" / "aws" / package.id
    before, resources = path.read_bytes(), dict(account.table.resources)
    (account.folder / "emulator" / ".resources.json.tmp").mkdir()  # the path of the temporary file
    with pytest.raises(StoreError, match="nothing was changed"):
        account.update(package, bucket=package.outputs["bucket"], content="new")
    assert (path.read_bytes(), dict(account.table.resources)) == (before, resources)
    assert [file.name for file in path.parent.iterdir()] == ["agent.zip"]
