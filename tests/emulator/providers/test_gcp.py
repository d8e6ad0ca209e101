"""Google Cloud's rules: services that must be on, accounts that must exist, secrets that must be readable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from emulator.desired.model import Address
from emulator.errors import CloudError
from emulator.providers.gcp import common as gcp
from emulator.providers.gcp.project import Settings, settings_resource
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties
from tests.emulator.account import Account, Mistakes

SERVICES = (
    "cloudfunctions",
    "run",
    "cloudbuild",
    "artifactregistry",
    "secretmanager",
    "iam",
    "cloudscheduler",
)


class Google(Account):
    """A project with all services on, a source in a bucket and an account to run as."""

    def enable(self, *names: str) -> None:
        for name in names:
            self.create(gcp.SERVICE, name, service=f"{name}.googleapis.com")

    def identity(self, name: str = "agent-account") -> Resource:
        return self.create(gcp.ACCOUNT, name, accountId=name)

    def source(self, **files: str) -> Resource:
        bucket = self.create(gcp.BUCKET, "packages", location="EUROPE-WEST1")
        asset = self.package("agent.zip", **{"main.py": "x = 1", **files})
        return self.create(gcp.OBJECT, "agent.zip", bucket=bucket.id, source=asset)

    def secret(self, value: str = "s3cret") -> Resource:
        secret = self.create(gcp.SECRET, "keys", secretId="keys", replication={"auto": {}})
        self.create(gcp.SECRET_VERSION, "keys", secret=secret.id, secretData=value)
        return secret

    def function_inputs(self, role: Resource, package: Resource, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        storage = {"bucket": package.outputs["bucket"], "object": package.outputs["name"]}
        return {
            "name": "agent",
            "location": "europe-west1",
            "buildConfig": {
                "runtime": "python313",
                "entryPoint": "main",
                "source": {"storageSource": storage},
            },
            "serviceConfig": {"serviceAccountEmail": role.outputs["email"], **more},
        }


@pytest.fixture
def account(tmp_path: Path) -> Google:
    account = Google(tmp_path)
    account.enable(*SERVICES)
    return account


def keys(version: str = "1") -> Properties:
    variable = {"key": "KEYS", "projectId": "my-project", "secret": "keys", "version": version}
    return {"secretEnvironmentVariables": [variable]}


def test_a_service_that_is_off_refuses(tmp_path: Path) -> None:
    """A new project has nearly everything off; the message says how to switch it on."""
    with pytest.raises(CloudError, match=r"SERVICE_DISABLED: iam\.googleapis\.com .*gcp\.projects\.Service"):
        Google(tmp_path).identity()


def test_the_project_is_the_providers_unless_given(account: Google) -> None:
    """As the provider fills it in."""
    email = account.identity().outputs["email"]
    assert email == "agent-account@my-project.iam.gserviceaccount.com"


def test_a_function_runs_its_source_as_its_account(account: Google) -> None:
    """Its service's URI is an origin, its own URL has its name as a path."""
    resource = account.create(
        gcp.FUNCTION, "f", **account.function_inputs(account.identity(), account.source())
    )
    (function,) = account.applied[-1].functions
    assert resource.outputs["serviceConfig"]["uri"] == f"http://{function.authority}"
    assert re.fullmatch(r"agent-[a-z0-9]{10}-ew\.a\.run\.app\.localhost:\d+", function.authority)
    host = "europe-west1-my-project.cloudfunctions.net.localhost"
    assert resource.outputs["url"] == f"http://{host}:{function.port}/agent"
    service = "agent-123456789012.europe-west1.run.app.localhost"
    assert function.addresses[1:] == (Address(host, "/agent"), Address(service))
    assert function.principal == "agent-account@my-project.iam.gserviceaccount.com"


def test_a_deleted_function_takes_the_policy_of_its_service_along(account: Google) -> None:
    """The Cloud Run service goes with it; another function's members stay."""
    identity, source = account.identity(), account.source()
    resource = account.create(gcp.FUNCTION, "f", **account.function_inputs(identity, source))
    account.create(gcp.FUNCTION, "g", **{**account.function_inputs(identity, source), "name": "other"})
    members = [
        account.create(
            gcp.SERVICE_MEMBER,
            name,
            name=name,
            location="europe-west1",
            role="roles/run.invoker",
            member="allUsers",
        )
        for name in ("agent", "other")
    ]
    account.delete(resource)
    assert [member.key in account.table.resources for member in members] == [False, True]


def test_a_deleted_accounts_roles_are_not_those_of_the_next_of_its_name(account: Google) -> None:
    """Policies name the account and not its address."""
    first, other = account.identity(), account.identity("other-account")
    secret = account.secret()

    def reads(name: str, of: Resource) -> Resource:
        given = {"role": "roles/secretmanager.secretAccessor", "secretId": secret.id}
        return account.create(
            gcp.SECRET_MEMBER, name, member=f"serviceAccount:{of.outputs['email']}", **given
        )

    members = [reads("a", first), reads("b", other)]
    account.delete(first)
    account.identity()
    assert [member.key in account.table.resources for member in members] == [False, True]


def test_a_source_without_main_does_not_build(account: Google) -> None:
    """Cloud Build's own words."""
    source = account.source(**{"main.py": "", "app.py": ""})
    account.update(source, bucket=source.outputs["bucket"], source=account.package("b.zip", app="x"))
    inputs = account.function_inputs(account.identity(), source)
    with pytest.raises(CloudError, match=r"missing main\.py"):
        account.create(gcp.FUNCTION, "f", **inputs)


@pytest.mark.parametrize(
    ("version", "grant", "code"),
    [("1", False, "PERMISSION_DENIED"), ("2", True, "NOT_FOUND"), ("1", True, None), ("latest", True, None)],
)
def test_secret_variables_need_the_version_and_the_right_to_read_it(
    account: Google, version: str, grant: bool, code: str | None
) -> None:
    """Cloud Run refuses the revision otherwise, and says which role lacks."""
    identity, source, secret = account.identity(), account.source(), account.secret()
    if grant:
        member = {"secretId": secret.id, "role": gcp.ACCESSOR, "member": identity.outputs["member"]}
        account.create(gcp.SECRET_MEMBER, "m", **member)
    inputs = account.function_inputs(identity, source, **keys(version))
    if code is None:
        account.create(gcp.FUNCTION, "f", **inputs)
        assert account.applied[-1].functions[0].environment == {"KEYS": "s3cret"}
    else:
        with pytest.raises(CloudError, match=code):
            account.create(gcp.FUNCTION, "f", **inputs)


def test_versions_of_a_secret_are_never_counted_twice(account: Google) -> None:
    """A destroyed version's number is not given again."""
    secret = account.secret()
    (first,) = (
        resource for resource in account.table.resources.values() if resource.token == gcp.SECRET_VERSION
    )
    account.delete(first)
    second = account.create(gcp.SECRET_VERSION, "more", secret=secret.id, secretData="x")
    assert (first.outputs["version"], second.outputs["version"]) == ("1", "2")


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"availableMemory": "64Mi"}, "availableMemory: must be 128M to 32Gi"),
        ({"availableCpu": "0.5", "maxInstanceRequestConcurrency": 8}, "total cpu < 1 is not supported"),
        ({"maxInstanceRequestConcurrency": 1001}, "maxInstanceRequestConcurrency: must be 1 to 1000"),
        ({"availableMemory": "8Gi", "availableCpu": "1"}, "must be at least 2 for 8192 MiB"),
        ({"availableMemory": "2Gi", "availableCpu": "0.5"}, "must be at least 1 for 2048 MiB"),
        ({"timeoutSeconds": 3601}, "timeoutSeconds: must be 1 to 3600"),
        ({"environmentVariables": {"PORT": "1"}}, "PORT is reserved"),
        ({"environmentVariables": {"KEYS": "1"}, **keys()}, "KEYS is also a secret"),
        ({"minInstanceCount": 5, "maxInstanceCount": 2}, "is above maxInstanceCount"),
    ],
)
def test_cloud_runs_limits_are_checked_before_anything_happens(
    account: Google, service: dict[str, Any], said: str
) -> None:
    """A preview already tells them."""
    source = {"storageSource": {"bucket": "b", "object": "o"}}
    inputs = {
        "location": "europe-west1",
        "buildConfig": {"runtime": "python313", "entryPoint": "main", "source": source},
        "serviceConfig": service,
    }
    with pytest.raises(Mistakes, match=said):
        account.checked(gcp.FUNCTION, "f", inputs, {})


def test_a_private_bucket_takes_no_public_members(account: Google) -> None:
    """Public access prevention wins over a role for allUsers."""
    bucket = account.create(gcp.BUCKET, "b", location="EU", publicAccessPrevention="enforced")
    member = {"bucket": bucket.id, "role": "roles/storage.objectViewer", "member": "allUsers"}
    with pytest.raises(CloudError, match="public access prevention is enforced"):
        account.create(gcp.BUCKET_MEMBER, "m", **member)


def test_only_a_condition_that_is_evaluated_is_taken(account: Google) -> None:
    """One that the emulated cloud would ignore would open more than the real cloud does."""
    right = 'resource.name.startsWith("projects/_/buckets/b/objects/replies/")'
    member = {"bucket": "b", "role": "roles/storage.objectUser", "member": "user:a@b.test"}
    taken = {**member, "condition": {"title": "t", "expression": right}}
    assert account.checked(gcp.BUCKET_MEMBER, "m", taken, {})["condition"]["expression"] == right
    for wrong in ("request.time < timestamp('2030-01-01T00:00:00Z')", f"{right} || true"):
        with pytest.raises(Mistakes, match="evaluates no other condition"):
            account.checked(
                gcp.BUCKET_MEMBER, "m", {**member, "condition": {"title": "t", "expression": wrong}}, {}
            )
    on_secret = {"secretId": "s", "role": gcp.ACCESSOR, "member": "user:a@b.test"}
    with pytest.raises(Mistakes, match="evaluates no other condition"):
        account.checked(gcp.SECRET_MEMBER, "m", {**on_secret, "condition": taken["condition"]}, {})


def test_a_condition_needs_uniform_access(account: Google) -> None:
    """Cloud Storage evaluates none where objects have access lists of their own."""
    identity = account.create(gcp.ACCOUNT, "a", accountId="some-agent")
    bucket = account.create(gcp.BUCKET, "b", location="EU")
    condition = {
        "title": "t",
        "expression": f'resource.name.startsWith("projects/_/buckets/{bucket.id}/objects/replies/")',
    }
    role = "roles/storage.objectUser"
    member = {"bucket": bucket.id, "role": role, "member": identity.outputs["member"], "condition": condition}
    with pytest.raises(CloudError, match="uniform bucket-level access"):
        account.create(gcp.BUCKET_MEMBER, "m", **member)
    uniform = account.create(gcp.BUCKET, "c", location="EU", uniformBucketLevelAccess=True)
    account.create(gcp.BUCKET_MEMBER, "m", **{**member, "bucket": uniform.id})


def test_a_member_must_exist(account: Google) -> None:
    """A service account with a typo gets no role."""
    account.create(gcp.FUNCTION, "f", **account.function_inputs(account.identity(), account.source()))
    member = {
        "name": "agent",
        "location": "europe-west1",
        "role": "roles/run.invoker",
        "member": "serviceAccount:agnet@my-project.iam.gserviceaccount.com",
    }
    with pytest.raises(CloudError, match=r"agnet@my-project.* does not exist"):
        account.create(gcp.SERVICE_MEMBER, "m", **member)


def test_a_role_must_be_one_of_the_resources_own(account: Google) -> None:
    """An invoker of functions is none of a bucket."""
    member = {"bucket": "b", "role": "roles/run.invoker", "member": "allUsers"}
    with pytest.raises(Mistakes, match="must be one that such a resource has"):
        account.checked(gcp.BUCKET_MEMBER, "m", member, {})


@pytest.mark.parametrize(
    ("schedule", "right"),
    [("* * * * *", True), ("every minute", False), ("* * * *", False), ("x * * * *", False)],
)
def test_a_job_has_five_fields_of_cron(account: Google, schedule: str, right: bool) -> None:
    """Once a minute is the most often."""
    inputs = {"region": "europe-west1", "schedule": schedule, "httpTarget": {"uri": "https://x.example"}}
    if right:
        assert account.checked("gcp:cloudscheduler/job:Job", "j", inputs, {})["schedule"] == schedule
    else:
        with pytest.raises(Mistakes, match="schedule: must be five fields"):
            account.checked("gcp:cloudscheduler/job:Job", "j", inputs, {})


def test_a_service_that_is_on_may_be_said_to_be_on_by_several(account: Google) -> None:
    """Enabling is no ownership: the provider finds the service enabled and is done."""
    again = account.create(
        gcp.SERVICE, "another-stacks", service="run.googleapis.com", disableOnDestroy=False
    )
    assert again.id == "my-project/run.googleapis.com"
    account.delete(again)
    account.create(gcp.FUNCTION, "f", **account.function_inputs(account.identity(), account.source()))
    (left,) = (each for each in account.operations.remaining() if "run.google" in str(each["what"]))
    assert (left["costs"], left["until"]) == ("", None)


def test_a_service_switched_off_answers_no_more(account: Google) -> None:
    """With disableOnDestroy, which is the provider's default."""
    resource = next(r for r in account.table.resources.values() if r.id == "my-project/iam.googleapis.com")
    account.delete(resource)
    with pytest.raises(CloudError, match=r"SERVICE_DISABLED: iam\.googleapis\.com"):
        account.identity()


def test_a_fresh_project_enables_nothing(tmp_path: Path) -> None:
    """Not even Cloud Resource Manager itself: enabling it reads the project through it."""
    fresh = Google(tmp_path)
    fresh.table.change(put=[settings_resource("my-project", Settings(fresh=True))])
    with pytest.raises(CloudError, match=r"cloudresourcemanager\.googleapis\.com has not been used"):
        fresh.enable("cloudresourcemanager")
    fresh.enable("logging")  # a new project has it on
    member = {"project": "my-project", "role": "roles/logging.logWriter", "member": "user:a@b.test"}
    with pytest.raises(CloudError, match=r"cloudresourcemanager\.googleapis\.com has not been used"):
        fresh.create(gcp.PROJECT_MEMBER, "m", **member)


def test_a_domain_restricted_organisation_refuses_all_users(account: Google) -> None:
    """In Google's words; members of the organisation get their roles."""
    account.create(gcp.FUNCTION, "f", **account.function_inputs(account.identity(), account.source()))
    account.table.change(put=[settings_resource("my-project", Settings(domain_restricted=True))])
    member = {"name": "agent", "location": "europe-west1", "role": "roles/run.invoker"}
    with pytest.raises(CloudError, match="do not belong to a permitted customer"):
        account.create(gcp.SERVICE_MEMBER, "m", **member, member="allUsers")
    account.create(gcp.SERVICE_MEMBER, "m", **member, member="user:a@b.test")


def test_all_users_may_call_two_minutes_after_they_are_let_in(account: Google) -> None:
    """Until then Google answers 403."""
    account.create(gcp.FUNCTION, "f", **account.function_inputs(account.identity(), account.source()))
    account.delays = 1.0
    member = {"name": "agent", "location": "europe-west1", "role": "roles/run.invoker", "member": "allUsers"}
    account.create(gcp.SERVICE_MEMBER, "m", **member)
    closed = [account.operations.desired().functions[0].closed]
    account.wait(120)
    closed.append(account.operations.desired().functions[0].closed)
    assert closed[0] is not None
    assert closed[1] is None


SOURCES = 'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-")'


@pytest.mark.parametrize(
    ("expression", "images", "refusal"),
    [
        (SOURCES, True, None),
        (SOURCES, False, "missing permission on the build service account"),
        (SOURCES.replace("gcf-v2-sources-", "other-"), True, "You must grant Storage Object Viewer"),
    ],
)
def test_a_builder_needs_the_sources_and_the_repository(
    account: Google, expression: str, images: bool, refusal: str | None
) -> None:
    """A role limited to the buckets of sources is enough, and one on the function's own repository."""
    builder = account.identity("some-builder")
    place = {"project": "my-project", "location": "europe-west1"}
    repository = account.create(gcp.REPOSITORY, "images", **place, repositoryId="images", format="DOCKER")
    viewer = {"project": "my-project", "role": "roles/storage.objectViewer"}
    condition = {"title": "only sources", "expression": expression}
    identity = builder.outputs["member"]
    account.create(gcp.PROJECT_MEMBER, "reads", **viewer, member=identity, condition=condition)
    if images:
        writer = {"repository": "images", "role": "roles/artifactregistry.writer", "member": identity}
        account.create(gcp.REPOSITORY_MEMBER, "writes", **place, **writer)
    inputs = account.function_inputs(account.identity(), account.source())
    inputs["buildConfig"] |= {"serviceAccount": builder.id, "dockerRepository": repository.id}
    if refusal is None:
        account.create(gcp.FUNCTION, "f", **inputs)
    else:
        with pytest.raises(CloudError, match=refusal):
            account.create(gcp.FUNCTION, "f", **inputs)


def test_a_job_stands_where_there_is_a_scheduler(account: Google) -> None:
    """Cloud Run has more regions than Cloud Scheduler."""
    target = {"uri": "https://x.example"}
    inputs = {"region": "europe-west8", "schedule": "* * * * *", "httpTarget": target}
    with pytest.raises(Mistakes, match="region: must be one of"):
        account.checked("gcp:cloudscheduler/job:Job", "j", inputs, {})


@pytest.mark.parametrize(("seconds", "kept"), [(None, True), (0, False), (604800, True)])
def test_a_deleted_bucket_is_kept_for_seven_days_unless_told_otherwise(
    account: Google, seconds: int | None, kept: bool
) -> None:
    """Soft delete is on by default, and billed."""
    account.delays = 1.0
    policy = {} if seconds is None else {"softDeletePolicy": {"retentionDurationSeconds": seconds}}
    account.delete(account.create(gcp.BUCKET, "b", location="EU", **policy))
    assert bool(account.operations.remaining()) is kept
    account.wait(604800)
    assert not account.operations.remaining()
