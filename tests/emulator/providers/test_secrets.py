"""Tests of versions of secrets: a new version is created before the old one is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.providers import plan
from emulator.providers.aws import common as aws
from emulator.providers.gcp import common as gcp
from emulator.providers.storage.resource_store import Resource
from tests.emulator.account import Account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """An empty account of each cloud."""
    return Account(tmp_path)


def on_amazon(account: Account) -> tuple[Resource, Resource]:
    secret = account.create(aws.SECRET, "keys")
    return secret, account.create(aws.SECRET_VERSION, "keys", secretId=secret.id, secretString="old")


def on_google(account: Account) -> tuple[Resource, Resource]:
    account.create(gcp.SERVICE, "api", service="secretmanager.googleapis.com")
    secret = account.create(gcp.SECRET, "keys", secretId="keys", replication={"auto": {}})
    return secret, account.create(gcp.SECRET_VERSION, "keys", secret=secret.id, secretData="old")


@pytest.mark.parametrize(
    ("made", "value"), [(on_amazon, "secretString"), (on_google, "secretData")], ids=["aws", "gcp"]
)
def test_a_new_version_exists_before_the_old_one_is_deleted(
    account: Account, made: Callable[[Account], tuple[Resource, Resource]], value: str
) -> None:
    """Otherwise a function that starts in between would find no secret."""
    _, version = made(account)
    subject = account.subject(version.token, "keys")
    found = plan.difference(subject, version.inputs, {**version.inputs, value: "new"}, account.operations)
    assert [change.replaces for change in found.changes] == [True]
    assert not found.delete_before_replace
    assert account.create(version.token, "keys", **{**version.inputs, value: "new"}).id != version.id


def test_the_newest_version_on_aws_is_the_current_one(account: Account) -> None:
    """The label moves to it, so functions always find a current version."""
    secret, old = on_amazon(account)
    account.create(aws.SECRET_VERSION, "keys", secretId=secret.id, secretString="new")
    assert account.applied[-1].secrets == {secret.outputs["arn"]: "new"}
    stages = {
        resource.id: resource.outputs["versionStages"]
        for resource in account.table.resources.values()
        if resource.token == old.token
    }
    assert sorted(stages.values()) == [["AWSCURRENT"], ["AWSPREVIOUS"]]
    assert stages[old.id] == ["AWSPREVIOUS"]
    account.delete(old)
    assert account.applied[-1].secrets == {secret.outputs["arn"]: "new"}
