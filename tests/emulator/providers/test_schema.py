"""The SDKs' own types as the schema: what a typed program could not say is refused, all of it at once."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from emulator.errors import CloudError
from emulator.providers import schema
from emulator.providers.registry import resource_type_of
from emulator.providers.values import ARCHIVE, ASSET, SIGNATURE, UNKNOWN

ROLE = "aws:iam/role:Role"
FUNCTION = "aws:lambda/function:Function"


def failures(token: str, inputs: dict[str, Any]) -> dict[str, str]:
    return {failure.path: failure.reason for failure in schema.check(token, inputs)}


def test_right_inputs_have_no_failures() -> None:
    """Nested objects, lists, maps, archives and documents as the SDK sends them."""
    inputs = {
        "role": "arn",
        "layers": ["a"],
        "memorySize": 512,
        "environment": {"variables": {"AA": "b"}},
        "code": {SIGNATURE: ARCHIVE, "path": "a.zip"},
    }
    assert failures(FUNCTION, inputs) == {}


def test_all_mistakes_are_told_at_once_with_their_paths() -> None:
    """Unknown, missing and wrongly typed properties, at any depth."""
    inputs: dict[str, Any] = {
        "memmorySize": 1,
        "timeout": "30",
        "publish": "yes",
        "layers": ["a", 1],
        "environment": {"variabels": {}},
    }
    assert failures(FUNCTION, inputs) == {
        "memmorySize": "unknown property 'memmorySize' (did you mean memorySize?)",
        "timeout": "expected a whole number, got a text of 2 characters",
        "publish": "expected true or false, got a text of 3 characters",
        "layers[1]": "expected text, got 1",
        "environment.variabels": "unknown property 'variabels' (did you mean variables?)",
        "role": "missing required property 'role'",
    }


def test_a_wrong_value_is_never_printed() -> None:
    """A text in the wrong place may be a secret."""
    said = failures(FUNCTION, {"role": "arn", "timeout": "hunter2-hunter2"})
    assert "hunter2" not in str(said)


def test_a_fraction_is_no_whole_number() -> None:
    """The wire knows only doubles; the type says int."""
    assert failures(FUNCTION, {"role": "arn", "timeout": 1.5}) == {
        "timeout": "expected a whole number, got 1.5"
    }


def test_an_asset_is_no_archive() -> None:
    """Lambda's code is an archive; the engine marks which is which."""
    said = failures(FUNCTION, {"role": "arn", "code": {SIGNATURE: ASSET, "path": "a.zip"}})
    assert said == {"code": "expected a pulumi.Archive, got an asset"}


@pytest.mark.parametrize("where", ["role", "timeout", "environment", "layers"])
def test_what_is_not_known_yet_passes(where: str) -> None:
    """In a preview other resources' outputs are unknown, and may stand for anything."""
    assert failures(FUNCTION, {"role": "arn", where: UNKNOWN}) == {}


@pytest.mark.parametrize("policy", ["{}", {"Version": "2012-10-17", "Statement": []}])
def test_a_union_takes_each_of_its_types(policy: str | dict[str, Any]) -> None:
    """A policy is a JSON text or an object."""
    assert failures(ROLE, {"assumeRolePolicy": policy}) == {}


def test_a_union_names_the_deepest_mistake() -> None:
    """An object is checked as an object, not called `no text`."""
    said = failures(ROLE, {"assumeRolePolicy": {"Version": "2012-10-17", "Statment": []}})
    assert said["assumeRolePolicy.Statment"].endswith("(did you mean Statement?)")


def test_arguments_are_the_resources_own() -> None:
    """Some packages hold a nested input under the name a resource's arguments would have."""
    said = failures("aws:s3/bucketVersioning:BucketVersioning", {})
    assert set(said) == {"bucket", "versioningConfiguration"}


def test_azure_enums_are_closed_but_know_no_case() -> None:
    """The SDK lets any text pass there; Azure does not."""
    token = "azure-native:managedidentity:FederatedIdentityCredential"
    assert "missing required" in str(failures(token, {}))
    storage = "azure-native:storage:StorageAccount"
    inputs = {"kind": "storagev2", "resourceGroupName": "g", "sku": {"name": "Standard_LSR"}}
    assert set(failures(storage, inputs)) == {"sku.name"}


def test_a_type_without_emulation_is_refused_with_near_names() -> None:
    """Never silently accepted."""
    with pytest.raises(CloudError, match=r"not emulate aws:lambda/functon:Functon \(did you mean Function"):
        resource_type_of("aws:lambda/functon:Functon")


def test_provider_configuration_is_checked_too() -> None:
    """A typo in `aws:region` must not mean no region."""
    (failure,) = schema.check_config("aws", {"regoin": "eu-west-1"})
    assert failure.reason == "unknown property 'regoin' (did you mean region?)"


@pytest.mark.parametrize("found", [True, False], ids=["found", "not found"])
def test_no_garbage_is_collected_while_an_sdk_is_imported(
    monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    """And afterwards it is again, also when the SDK has no such type."""
    during: list[bool] = []

    def imported(path: str) -> SimpleNamespace:
        during.append(gc.isenabled())
        return SimpleNamespace(Part=int) if found else SimpleNamespace()

    monkeypatch.setattr(schema.importlib, "import_module", imported)
    token = f"aws:test{found}/part:Part"
    if found:
        assert schema.resource_class(token) is int
    else:
        with pytest.raises(KeyError):
            schema.resource_class(token)
    assert during == [False]
    assert gc.isenabled()
