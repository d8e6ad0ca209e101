"""Operations on resources: a cloud's refusals, and that a change happens wholly or not at all."""

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


def test_a_name_is_made_up_once_and_stays(account: Account) -> None:
    """As the AWS provider does it: the logical name, a dash and seven hex digits."""
    role = account.role()
    updated = account.update(role, assumeRolePolicy=trust("lambda.amazonaws.com"), description="new")
    name, dash, suffix = role.id.partition("-")
    assert (name, dash, len(suffix), int(suffix, 16) > 0) == ("agent", "-", 7, True)
    assert updated.id == role.id


def test_the_hosts_are_told_only_what_changes_what_runs(account: Account) -> None:
    """A role and a bucket run nothing; a function does."""
    role, package = account.role(), account.uploaded()
    before = [functions(desired) for desired in account.applied]
    resource = account.create(FUNCTION, "agent", **account.function_inputs(role, package))
    assert all(found == [] for found in before)
    assert functions(account.applied[-1]) == [(resource.id, 128)]


def test_a_function_that_cannot_start_changes_nothing(tmp_path: Path) -> None:
    """The operation fails with the reason, and the hosts are told the former world again."""

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


def test_what_was_broken_before_does_not_stop_others(tmp_path: Path) -> None:
    """A function that no longer starts must not keep a stack from being destroyed."""
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


def test_the_code_of_a_function_is_what_it_was_when_deployed(account: Account) -> None:
    """Lambda copies the package: replacing or deleting the object changes nothing that runs."""
    package = account.uploaded()
    account.create(FUNCTION, "agent", **account.function_inputs(account.role(), package))
    (function,) = account.applied[-1].functions
    content = function.package.read_bytes()
    account.update(package, bucket=package.outputs["bucket"], source=account.package(main="other"))
    account.delete(account.table.resources[package.key])
    assert function.package.read_bytes() == content


def test_packages_nothing_runs_are_removed(account: Account) -> None:
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
    """A preview already tells them."""
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
    """S3's own error comes through."""
    package = account.uploaded()
    inputs = account.function_inputs(account.role(), package, s3Key="nothing.zip")
    with pytest.raises(CloudError, match="NoSuchKey"):
        account.create(FUNCTION, "agent", **inputs)


def test_a_file_that_is_no_zip_is_no_package(account: Account) -> None:
    """Told at the deployment, not at the first request."""
    package = account.uploaded()
    account.update(package, bucket=package.outputs["bucket"], content="no zip")
    with pytest.raises(CloudError, match="is not a zip file"):
        account.create(FUNCTION, "agent", **account.function_inputs(account.role(), package))


def test_a_taken_name_is_refused_with_the_clouds_message(account: Account) -> None:
    """The existing role of that name is not changed."""
    account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    with pytest.raises(CloudError, match=r"EntityAlreadyExists: .*already exists, made as .*::one"):
        account.create(ROLE, "two", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))


def test_what_a_killed_engine_left_is_adopted(account: Account) -> None:
    """The same resource of the same stack with equal inputs: there is nothing to be done."""
    made = account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    again = account.create(
        ROLE, "one", "another run", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com")
    )
    assert again == made


def test_what_a_killed_engine_left_under_an_automatic_name_is_found_again(account: Account) -> None:
    """The engine never heard of that name; a second one would stay behind for ever, or be in the way."""
    inputs = {"assumeRolePolicy": trust("lambda.amazonaws.com")}
    made = account.create(ROLE, "one", "first run", **inputs)
    assert account.create(ROLE, "one", "second run", **inputs) == made
    other = account.create(ROLE, "one", "third run", **inputs, description="another")
    assert other.id != made.id


def test_what_a_killed_engine_left_otherwise_names_the_way_out(account: Account) -> None:
    """With other inputs the message holds the command that takes it into the stack."""
    account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("lambda.amazonaws.com"))
    with pytest.raises(CloudError, match="pulumi import 'aws:iam/role:Role' 'one' 'agent'"):
        account.create(ROLE, "one", name="agent", assumeRolePolicy=trust("ec2.amazonaws.com"))


def test_adopting_in_place_of_oneself_survives_ones_own_deletion(account: Account) -> None:
    """A forced replacement creates (adopts) and then deletes the old one, which is the same."""
    inputs = {"name": "agent", "assumeRolePolicy": trust("lambda.amazonaws.com")}
    account.create(ROLE, "one", "first run", **inputs)
    resource = account.create(ROLE, "one", "second run", **inputs)
    account.delete(resource, "second run")
    kept = dict(account.table.resources)
    account.delete(resource, "third run")
    assert (set(kept), dict(account.table.resources)) == ({resource.key}, {})


def test_deleting_twice_is_fine(account: Account) -> None:
    """The engine repeats a deletion that was cut off."""
    role = account.role()
    account.delete(role)
    account.delete(role)
    assert dict(account.table.resources) == {}


def test_a_bucket_with_objects_is_kept_unless_forced(account: Account) -> None:
    """Objects that a function wrote count as well."""
    bucket = account.create(BUCKET, "state")
    written = account.folder / "emulator" / "buckets" / "aws" / bucket.id / "health" / "a.json"
    written.parent.mkdir(parents=True)
    written.write_text("{}")
    with pytest.raises(CloudError, match=r"BucketNotEmpty: .*health/a\.json"):
        account.delete(bucket)
    account.update(bucket, forceDestroy=True)
    account.delete(bucket)
    assert not written.parents[1].exists()


def test_an_object_is_what_the_engine_planned(account: Account) -> None:
    """A file that changed between plan and upload is refused, and no object is left."""
    bucket = account.create(BUCKET, "state")
    asset = {**account.package(), "hash": "0" * 64}
    with pytest.raises(CloudError, match="PackageChanged"):
        account.create(OBJECT, "o", bucket=bucket.id, source=asset)
    assert list((account.folder / "emulator" / "buckets" / "aws" / bucket.id).iterdir()) == []


def test_a_full_disk_fails_the_operation_and_nothing_else(account: Account) -> None:
    """Object, table and world stay as they were."""
    package = account.uploaded()
    path = account.folder / "emulator" / "buckets" / "aws" / package.id
    before, resources = path.read_bytes(), dict(account.table.resources)
    (account.folder / "emulator" / ".resources.json.tmp").mkdir()  # where the new table would be written
    with pytest.raises(StoreError, match="nothing was changed"):
        account.update(package, bucket=package.outputs["bucket"], content="new")
    assert (path.read_bytes(), dict(account.table.resources)) == (before, resources)
    assert [file.name for file in path.parent.iterdir()] == ["agent.zip"]
