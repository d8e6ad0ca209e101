"""Tests of delays, reserved names and temporary failures of the emulated clouds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emulator.desired.model import Cloud
from emulator.errors import CloudError, NotYetReady
from emulator.providers import registry
from emulator.providers.drift import changed, drift, find
from emulator.providers.operations import Subject
from emulator.providers.resource_types import Context, NameHold, ResourceType
from emulator.providers.stateless.time import seconds
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties
from tests.emulator.account import CONFIG, ROLE, Account
from tests.emulator.resources import trust

THING = "aws:iam/role:Role"
KIND = ResourceType(
    THING,
    lambda inputs, _: f"aws/role/{inputs['name']}",
    lambda inputs, _: {"id": inputs["name"]},
    effective_after_s=60,
    hold=lambda resource: (
        NameHold(3600, "InvalidRequestException", "scheduled for deletion") if resource.id == "kept" else None
    ),
)


def subject(kind: ResourceType = KIND, name: str = "one") -> Subject:
    return Subject(kind, name, f"urn:pulumi:s::p::{kind.token}::{name}", CONFIG, "engine")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path, delays=0.5)


def test_a_grant_is_effective_after_its_delay(account: Account) -> None:
    """A delay of 60 s is 30 s with halved delays."""
    resource = account.operations.create(subject(), {"name": "one"})
    context = account.operations.context(subject())
    before = context.effective(resource)
    account.wait(29.9)
    almost = context.effective(resource)
    account.wait(0.2)
    assert (before, almost, context.effective(resource)) == (False, False, True)


def test_an_updated_grant_is_effective_immediately(account: Account) -> None:
    """Only new grants are delayed, so a running stack is not interrupted."""
    resource = account.operations.create(subject(), {"name": "one"})
    account.wait(31)
    resource = account.operations.update(subject(), resource.id, {"name": "one", "description": "new"})
    assert account.operations.context(subject()).effective(resource)


def test_an_alarm_is_set_for_the_next_effective_grant(tmp_path: Path) -> None:
    """There is one alarm at a time, for the earliest grant."""
    account = Account(tmp_path, delays=1)
    alarms: list[float] = []
    operations = account.operations_with(lambda due, step: alarms.append(due))
    operations.create(subject(), {"name": "one"})
    account.wait(10)
    operations.create(subject(name="two"), {"name": "two"})
    account.wait(50)
    operations.catch_up()
    assert alarms == [60, 10]


def test_a_deleted_name_is_reserved_for_its_time(account: Account) -> None:
    """The error is that of the cloud; afterwards the name is free and no record is left."""
    resource = account.operations.create(subject(), {"name": "kept"})
    account.operations.delete(subject(), resource.id)
    with pytest.raises(CloudError, match="InvalidRequestException: scheduled for deletion"):
        account.operations.create(subject(), {"name": "kept"})
    (left,) = account.operations.remaining()
    account.wait(1801)
    made = account.operations.create(subject(), {"name": "kept"})
    assert (left["cloud"], left["kind"], list(account.table.resources)) == ("aws", "held", [made.key])


def test_remains_of_deleted_resources_are_listed_until_they_expire(account: Account) -> None:
    """Billed remains are listed with their price."""

    def outputs(inputs: Properties, context: Context) -> Properties:
        context.leave("gcp/images/x", "an image repository", costs="0.10 USD per GB and month")
        context.leave("gcp/log", "a log", seconds=100)
        return {"id": inputs["name"]}

    leaving = subject(replace(KIND, outputs=outputs))
    resource = account.operations.create(leaving, {"name": "one"})
    account.operations.delete(leaving, resource.id)
    soon = {each["what"]: each["costs"] for each in account.operations.remaining()}
    account.wait(51)
    later = [each["what"] for each in account.operations.remaining()]
    assert soon == {"an image repository": "0.10 USD per GB and month", "a log": ""}
    assert later == ["an image repository"]


def test_a_provider_retries_a_temporary_refusal(account: Account) -> None:
    """It retries for as long as the vendor's provider."""
    refusals: list[float] = []

    def refers(inputs: Properties, context: Context) -> None:
        refusals.append(account.seconds)
        if account.seconds < float(inputs["until"]):
            raise NotYetReady("NotFound", "not visible yet", retried_s=10)

    waiting = subject(replace(KIND, refers=refers))
    account.operations.create(waiting, {"name": "soon", "until": 2})
    tries = len(refusals)
    with pytest.raises(NotYetReady, match="not visible yet"):
        account.operations.create(
            subject(replace(KIND, refers=refers), "late"), {"name": "late", "until": 99}
        )
    assert tries > 1
    assert account.seconds < 10


@pytest.mark.parametrize(("cloud", "longest"), [("aws", 400), ("gcp", 90), ("azure", 6)])
def test_an_outage_shorter_than_the_providers_retries_is_invisible(
    tmp_path: Path, cloud: Cloud, longest: float
) -> None:
    """Each provider retries 429 and 5xx for its own time; a longer outage fails the operation."""
    account = Account(tmp_path, delays=0.01)
    token = {"aws": ROLE, "gcp": "gcp:storage/bucket:Bucket", "azure": "azure-native:web:WebApp"}[cloud]
    kind = replace(KIND, token=token)
    outages = account.operations.outages
    outages.begin(cloud, 429, account.clock() + longest * 0.01 * 0.8)
    account.operations.create(subject(kind), {"name": "one"})
    outages.begin(cloud, 503, account.clock() + longest * 0.01 + 10)
    with pytest.raises(NotYetReady, match=r"ServiceUnavailable: .* answered 503"):
        account.operations.create(subject(kind, "two"), {"name": "two"})
    outages.end(cloud)
    assert account.operations.create(subject(kind, "two"), {"name": "two"}).id == "two"


def test_an_outage_of_one_cloud_does_not_affect_another(account: Account) -> None:
    """With Google's API down a role on AWS is created immediately."""
    account.operations.outages.begin("gcp", 503, account.clock() + 1000)
    account.operations.create(subject(), {"name": "one"})
    assert account.seconds == 0


def test_a_refresh_reads_a_manual_change(account: Account) -> None:
    """The refresh returns the new value, and nothing after a manual deletion."""
    role = account.role()
    drift(account.operations, "aws", role.id, {"description": "by hand"})
    read = account.operations.read(account.subject(ROLE, "agent"), role.id)
    drift(account.operations, "aws", role.key, None)
    gone = account.operations.read(account.subject(ROLE, "agent"), role.id)
    assert read is not None
    assert (read.inputs["description"], gone) == ("by hand", None)


def test_a_manual_change_needs_the_key_of_one_resource(account: Account) -> None:
    """For no or several matching resources the error lists similar keys."""
    account.create(ROLE, "one", name="first", assumeRolePolicy=trust("lambda.amazonaws.com"))
    with pytest.raises(
        CloudError, match="no resource has the key, id, URN or name 'irst'; keys that hold it: "
    ):
        drift(account.operations, "aws", "irst", None)


def test_a_nested_property_is_set_by_its_path() -> None:
    """Other properties are unchanged."""
    assert changed({"a": {"b": 1, "c": 2}}, {"a.b": 3, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("90", None), ("", None)]
)
def test_durations_have_gos_format(text: str, expected: float | None) -> None:
    """The provider is written in Go."""
    assert seconds(text) == expected


def test_a_wait_takes_its_scaled_time(account: Account) -> None:
    """`pulumiverse_time.Sleep` takes half of its time with halved delays."""
    kind = registry.resource_type_of("time:index/sleep:Sleep")
    made = kind.outputs({"createDuration": "60s"}, account.operations.context(subject(kind)))
    assert (account.seconds, made["id"]) == (30, "2030-01-01T00:00:30Z")


def test_a_name_that_resources_share_means_the_one_with_the_property() -> None:
    """The program gives a function, its role and its log one name; only the function has a memory."""
    urn = "urn:pulumi:local::skyfleet::{}::agent"
    role, function = (
        Resource(key, token, key, urn.format(token), inputs, {})
        for key, token, inputs in (
            ("role", "aws:iam/role:Role", {"path": "/"}),
            ("function", "aws:lambda/function:Function", {"memorySize": 512}),
        )
    )
    assert find([role, function], "agent", {"memorySize"}) is function
    for properties in (set[str](), {"description"}):
        with pytest.raises(CloudError, match="2 resources are called 'agent'; take a key: role; function"):
            find([role, function], "agent", properties)
