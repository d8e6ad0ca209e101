"""Tests of the secrets of each function on each cloud and of the identities that may read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import pytest

from functions.runtimes import app_loader
from infra.config.model import CLOUDS, Cloud
from skyfleet.keys import derived
from tests.infra.fleet import FUNCTIONS, environment, functions, role, shown
from tests.infra.recorded import Resource, of_type, recorded, settings_for
from tests.infra.stored_secrets import ROLES, STORES, owner, place, stored

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

# The recorder's random passwords.
ROOTS = {key_id: f"made-up-root-key-{key_id}" for key_id in ("k1", "k2")}
SECRETS_USER = "4633458b-17de-408a-b875-0445c86b69e6"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on all three clouds with a model's key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG", json.dumps({"skyfleet:modelApiKey": "the-models-key"}))
        return recorded(settings_for(*CLOUDS), tmp_path_factory.mktemp("packages"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_function_has_only_its_own_keys(fleet: list[Resource], cloud: Cloud) -> None:
    """Only routers have roots. Agents and checkers have their derived keys, with the signing key first."""
    found = stored(fleet, cloud)
    agent, checker, router = (found[each] for each in ROLES)
    assert agent.pop("MODEL_API_KEY") == "the-models-key"
    assert [*agent, *checker, *router] == [
        "SKYFLEET_SIGNING_KEYS",
        "SKYFLEET_SIGNING_KEYS",
        "SKYFLEET_ROOT_KEYS",
    ]
    assert list(json.loads(router["SKYFLEET_ROOT_KEYS"]).items()) == list(ROOTS.items())
    for keys, name in ((agent, "agent"), (checker, "checker")):
        # "agent" or "checker".
        own = derived(ROOTS, name, place(cloud))  # pyright: ignore[reportArgumentType]
        assert list(json.loads(keys["SKYFLEET_SIGNING_KEYS"]).items()) == list(own.items())


def test_every_secret_is_removed_from_the_environment_at_start(fleet: list[Resource]) -> None:
    """The list in functions/runtimes/app_loader.py is complete."""
    variables = {name for cloud in CLOUDS for own in stored(fleet, cloud).values() for name in own}
    assert variables == {*app_loader.KEYS, *app_loader.OTHERS}


def test_secrets_are_only_in_secret_stores(fleet: list[Resource]) -> None:
    """No variable, policy or name contains one; routers have only the hash of the API key."""
    stores = {token for token, _ in STORES.values()}
    others = shown([one for one in fleet if one.token not in stores])
    keys = [
        key
        for name in ("agent", "checker")
        for c in CLOUDS
        for key in derived(ROOTS, name, place(c)).values()
    ]
    for secret in (*ROOTS.values(), *keys, "the-models-key"):
        assert secret not in others
    assert "made-up-api-key" not in shown(fleet)


def amazons(fleet: list[Resource]) -> Iterable[tuple[str, str]]:
    """The pairs (reader, secret) of all grants on AWS."""
    for policy in of_type(fleet, "aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            if any(action.startswith("secretsmanager:") for action in statement["Action"]):
                assert statement["Action"] == ["secretsmanager:GetSecretValue"]
                yield from ((policy.name, arn) for arn in statement["Resource"])


def microsofts(fleet: list[Resource]) -> Iterable[tuple[str, str]]:
    for grant in of_type(fleet, "azure-native:authorization:RoleAssignment"):
        if SECRETS_USER in grant.inputs["roleDefinitionId"]:
            yield grant.inputs["principalId"], grant.inputs["scope"]


def googles(fleet: list[Resource]) -> Iterable[tuple[str, str]]:
    for grant in of_type(fleet, "gcp:secretmanager/secretIamMember:SecretIamMember"):
        assert grant.inputs["role"] == "roles/secretmanager.secretAccessor"
        account = cast("str", grant.inputs["member"]).removeprefix("serviceAccount:").partition("@")[0]
        yield account, grant.inputs["secretId"]


@pytest.mark.parametrize(
    ("cloud", "grants", "secrets"),
    [("aws", amazons, 3), ("azure", microsofts, 4), ("gcp", googles, 4)],
)
def test_a_secret_can_be_read_only_by_its_function(
    fleet: list[Resource],
    cloud: Cloud,
    grants: Callable[[list[Resource]], Iterable[tuple[str, str]]],
    secrets: int,
) -> None:
    """Each grant names one secret and the identity of the same role."""
    found = list(grants(fleet))
    assert len(found) == len({secret for _, secret in found}) == secrets
    for reader, secret in found:
        assert owner(reader) == owner(secret.replace("/", "-").removesuffix("-id")), (reader, secret)


def test_functions_get_references_to_their_secrets(fleet: list[Resource]) -> None:
    """The environment has an ARN, a reference or a version, and never the value."""
    variables = {
        "agent": ["MODEL_API_KEY", "SKYFLEET_SIGNING_KEYS"],
        "checker": ["SKYFLEET_SIGNING_KEYS"],
        "router": ["SKYFLEET_ROOT_KEYS"],
    }
    for name, wanted in variables.items():
        own = environment(functions(fleet, "aws")[name])
        assert own["SKYFLEET_SECRET_ARN"] == f"arn:aws:test:here:123456789012:aws-eu-west-1-{name}"
        assert not set(wanted) & set(own)
        settings = environment(functions(fleet, "azure")[name])
        assert all(settings[each].startswith("@Microsoft.KeyVault(SecretUri=") for each in wanted)
        service = functions(fleet, "gcp")[name].inputs["serviceConfig"]
        mounted = {each["key"]: each["version"] for each in service["secretEnvironmentVariables"]}
        assert mounted == dict.fromkeys(wanted, "7")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_function_knows_its_fleet(fleet: list[Resource], cloud: Cloud) -> None:
    """The fleet is the suffix of its names, by which functions of another fleet are recognised."""
    assert {environment(one)["SKYFLEET_FLEET"] for one in of_type(fleet, FUNCTIONS[cloud])} == {"0a1b2c3d"}


def test_a_rotation_changes_every_store_and_restarts_every_function(tmp_path: Path) -> None:
    """Each store has three generations, of which the new one signs."""
    rotated = recorded(settings_for(*CLOUDS, keyGeneration=2), tmp_path)
    for cloud in CLOUDS:
        found = stored(rotated, cloud)
        assert list(json.loads(found["router"]["SKYFLEET_ROOT_KEYS"])) == ["k2", "k3", "k1"]
        for name in ("agent", "checker"):
            ids = [f"{each}:{name}:{place(cloud)}" for each in ("k2", "k3", "k1")]
            assert list(json.loads(found[name]["SKYFLEET_SIGNING_KEYS"])) == ids
        for one in of_type(rotated, FUNCTIONS[cloud]):
            assert environment(one)["SKYFLEET_KEY_GENERATION"] == "2", role(one)
