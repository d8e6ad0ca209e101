"""Tests of all resources that the program registers, under Pulumi's mocks.

`recorded` returns after the last registration, so the tests can assert that no other resource exists.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from infra.config.model import CLOUDS
from infra.errors import ConfigError
from router.core.policy import Policy
from skyfleet import contract
from tests.infra.fleet import FUNCTIONS, environment, functions, role
from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

# Types without labels, or parts of a labelled resource.
UNLABELLED = {
    "aws:iam/rolePolicy:RolePolicy",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "aws:lambda/functionUrl:FunctionUrl",
    "aws:lambda/permission:Permission",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:scheduler/schedule:Schedule",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "azure-native:authorization:RoleAssignment",
    "azure-native:storage:Blob",
    "azure-native:storage:BlobContainer",
    "azure-native:storage:ManagementPolicy",
    "azure-native:web:WebAppFtpAllowed",
    "azure-native:web:WebAppScmAllowed",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:cloudscheduler/job:Job",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/service:Service",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/account:Account",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:storage/bucketObject:BucketObject",
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on all three clouds."""
    return recorded(settings_for("aws", "azure", "gcp"), tmp_path_factory.mktemp("packages"))


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_every_cloud_gets_the_three_functions(fleet: list[Resource], cloud: str) -> None:
    """They are an agent, a router and a checker, each with its application and place in the environment."""
    found = functions(fleet, cloud)
    assert sorted(found) == ["agent", "checker", "router"]
    apps = {
        "agent": "functions.app:create",
        "router": "router.app:create",
        "checker": "router.checker:create",
    }
    for name, function in found.items():
        variables = environment(function)
        assert (variables["SKYFLEET_CLOUD"], variables["SKYFLEET_ROLE"]) == (cloud, name)
        assert variables["SKYFLEET_APP"] == apps[name]
        assert variables["SKYFLEET_REGION"]
        # Settings and code reach a cloud separately, so the package names the agent.
        assert "SKYFLEET_AGENT" not in variables


def test_the_number_of_resources_of_each_provider_is_known(fleet: list[Resource]) -> None:
    """A change of the number of resources is a decision and needs a change of this test."""
    clouds = Counter(resource.token.partition(":")[0] for resource in fleet)
    assert clouds == {"aws": 41, "azure-native": 60, "gcp": 47, "random": 4, "skyfleet": 13, "time": 8}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_fleet_of_one_cloud_touches_no_other(cloud: str, tmp_path: Path) -> None:
    """No account on another cloud is needed."""
    found = recorded(settings_for(cloud), tmp_path)
    packages = {resource.token.partition(":")[0] for resource in found} - {"time"}
    assert packages == {"skyfleet", "random", "azure-native" if cloud == "azure" else cloud}
    assert len(functions(found, cloud)) == 3


def test_regions_of_a_cloud_share_no_resource_name(tmp_path: Path) -> None:
    """Each region has its own bucket and agent, and names that are global in an account differ."""
    two: dict[str, object] = {"aws": {"regions": ["eu-west-1", "us-east-1"], "weight": 1}}
    settings = settings_for("aws", clouds=two)
    found = recorded(settings, tmp_path)
    agents = [f for f in of_type(found, FUNCTIONS["aws"]) if role(f) == "agent"]
    assert sorted(agent.inputs["region"] for agent in agents) == ["eu-west-1", "us-east-1"]
    roles = [iam.inputs["name"] for iam in of_type(found, "aws:iam/role:Role")]
    assert len(roles) == len(set(roles))
    assert len(of_type(found, "aws:s3/bucket:Bucket")) == 2


def test_sites_of_two_regions_differ_in_name(tmp_path: Path) -> None:
    """A site's name is globally unique, so Azure refuses a second site of the same name."""
    two: dict[str, object] = {"azure": {"regions": ["westeurope", "northeurope"]}}
    found = recorded(settings_for("azure", clouds=two, router={"clouds": ["azure"]}), tmp_path)
    for token in (FUNCTIONS["azure"], "azure-native:storage:StorageAccount", "azure-native:keyvault:Vault"):
        names = [
            # The provider derives a vault's name from its logical name.
            r.inputs.get("name") or r.inputs.get("accountName") or r.name
            for r in of_type(found, token)
        ]
        assert len(names) == len(set(names)) > 1, names


def test_every_resource_is_labelled_with_its_stack_and_role(fleet: list[Resource]) -> None:
    """Bills, searches and the emulator's faults use these two labels."""
    for resource in fleet:
        if resource.token.startswith(("skyfleet:", "random:", "time:")) or resource.token in UNLABELLED:
            continue
        assert resource.labels.get("skyfleet-stack") == "test", resource.token
        assert resource.labels.get("skyfleet-role") in {"agent", "router", "checker", "shared"}, (
            resource.token
        )


def test_a_lambda_function_url_has_both_permissions(fleet: list[Resource]) -> None:
    """With only one of them AWS answers 403. The checker has no URL."""
    urls = of_type(fleet, "aws:lambda/functionUrl:FunctionUrl")
    assert {(url.inputs["authorizationType"], url.inputs["invokeMode"]) for url in urls} == {
        ("NONE", "RESPONSE_STREAM")
    }
    assert len(urls) == 2
    permissions = Counter(
        (p.inputs["function"], p.inputs["action"], bool(p.inputs.get("invokedViaFunctionUrl")))
        for p in of_type(fleet, "aws:lambda/permission:Permission")
    )
    assert permissions == {
        ("skyfleet-test-agent", "lambda:InvokeFunctionUrl", False): 1,
        ("skyfleet-test-agent", "lambda:InvokeFunction", True): 1,
        ("skyfleet-test-router", "lambda:InvokeFunctionUrl", False): 1,
        ("skyfleet-test-router", "lambda:InvokeFunction", True): 1,
    }


def test_only_agents_and_routers_are_public(fleet: list[Resource]) -> None:
    """The checker on Google admits only its scheduler's account; on Azure it has no route."""
    invokers = {
        member.inputs["name"]: member.inputs["member"]
        for member in of_type(fleet, "gcp:cloudrunv2/serviceIamMember:ServiceIamMember")
    }
    assert invokers.pop("skyfleet-test-checker").startswith("serviceAccount:gcp-europe-west1-scheduler@")
    assert set(invokers.values()) == {"allUsers"}


def test_logs_are_kept_for_thirty_days(fleet: list[Resource]) -> None:
    """Logs outlast a holiday and are not kept forever."""
    groups = of_type(fleet, "aws:cloudwatch/logGroup:LogGroup")
    assert {group.inputs["name"] for group in groups} == {
        f"/aws/lambda/skyfleet-test-{name}" for name in ("agent", "router", "checker")
    }
    (workspace,) = of_type(fleet, "azure-native:operationalinsights:Workspace")
    kept = [group.inputs["retentionInDays"] for group in groups]
    assert {*kept, workspace.inputs["retentionInDays"]} == {30}
    assert not [r for r in fleet if r.token.startswith("gcp:logging/")], (
        "Google's own bucket keeps them 30 days"
    )


def test_no_bucket_is_public(fleet: list[Resource]) -> None:
    """This is checked on all three clouds."""
    (block,) = of_type(fleet, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert all(
        block.inputs[name]
        for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    for account in of_type(fleet, "azure-native:storage:StorageAccount"):
        assert account.inputs["allowBlobPublicAccess"] is False
        assert account.inputs["minimumTlsVersion"] == "TLS1_2"
    assert {c.inputs["publicAccess"] for c in of_type(fleet, "azure-native:storage:BlobContainer")} == {
        "None"
    }
    for bucket in of_type(fleet, "gcp:storage/bucket:Bucket"):
        assert bucket.inputs["publicAccessPrevention"] == "enforced"
        assert bucket.inputs["uniformBucketLevelAccess"] is True


def test_only_the_account_for_uploads_has_a_shared_key(fleet: list[Resource]) -> None:
    """The provider uploads with the key; functions use roles."""
    accounts = {
        a.name.removeprefix("azure-westeurope"): a.inputs["allowSharedKeyAccess"]
        for a in of_type(fleet, "azure-native:storage:StorageAccount")
    }
    assert accounts == {"-packages": True, "": False, "-agent": False, "-router": False, "-checker": False}


def test_no_policy_allows_everything(fleet: list[Resource]) -> None:
    """A wildcard follows a prefix of the stack or is in the denial of plain HTTP."""
    for policy in of_type(fleet, "aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "*" not in "".join(statement["Action"])
            assert all(each.split(":", 5)[5].startswith("aws-eu-west-1") for each in statement["Resource"])
    (tls,) = of_type(fleet, "aws:s3/bucketPolicy:BucketPolicy")
    assert [s["Effect"] for s in json.loads(tls.inputs["policy"])["Statement"]] == ["Deny"]


def test_checkers_are_fired_every_minute(fleet: list[Resource]) -> None:
    """The scheduler of each cloud fires them; Azure's timer is a part of the package."""
    (rate,) = of_type(fleet, "aws:scheduler/schedule:Schedule")
    assert rate.inputs["scheduleExpression"] == "rate(1 minute)"
    assert rate.inputs["target"]["deadLetterConfig"]["arn"]
    (job,) = of_type(fleet, "gcp:cloudscheduler/job:Job")
    assert job.inputs["schedule"] == "* * * * *"
    assert job.inputs["httpTarget"]["oidcToken"]["audience"] == "https://gcp-europe-west1-checker.run.app"


def test_a_package_is_named_by_its_content(fleet: list[Resource]) -> None:
    """New code is a new object, so a cloud cannot continue to use an old one."""
    keys = {o.inputs["key"] for o in of_type(fleet, "aws:s3/bucketObjectv2:BucketObjectv2")}
    assert keys == {
        "packages/agent/hash-agent-aws.zip",
        "packages/router/hash-router-aws.zip",
        "packages/checker/hash-router-aws.zip",
    }
    for deployment in of_type(fleet, "azure-native:resources:Deployment"):
        assert "properties" in deployment.secret_inputs
        assert f"hash-{'agent' if role(deployment) == 'agent' else 'router'}-azure" in json.dumps(
            deployment.inputs
        )


def test_routers_know_every_agent_and_checkers_every_router(fleet: list[Resource]) -> None:
    """A router's list has the weights of the config; a checker's list does not depend on them."""
    for cloud in FUNCTIONS:
        variables = environment(functions(fleet, cloud)["router"])
        targets = cast("list[dict[str, Any]]", json.loads(variables["SKYFLEET_TARGETS"]))
        assert [(t["cloud"], t["weight"], t["repeatable"]) for t in targets] == [
            ("aws", 3, True),
            ("azure", 2, True),
            ("gcp", 1, True),
        ]
        assert all(t["url"].startswith("https://") and not t["url"].endswith("/") for t in targets)
        checker = environment(functions(fleet, cloud)["checker"])
        assert len(json.loads(checker["SKYFLEET_ROUTERS"])) == 3
        assert [t["weight"] for t in json.loads(checker["SKYFLEET_TARGETS"])] == [1, 1, 1]


def test_a_price_reaches_the_routers_and_not_the_checkers(tmp_path: Path) -> None:
    """A changed price does not change a checker."""
    priced: dict[str, object] = {"aws": {"regions": ["eu-west-1"], "price": 0.25}}
    found = functions(recorded(settings_for("aws", clouds=priced), tmp_path), "aws")
    assert json.loads(environment(found["router"])["SKYFLEET_TARGETS"])[0]["price"] == 0.25
    assert "price" not in json.loads(environment(found["checker"])["SKYFLEET_TARGETS"])[0]


def test_routers_require_an_api_key_by_default(fleet: list[Resource], tmp_path: Path) -> None:
    """A router has only the hash of the key; a stack on the emulator may be open."""
    variables = environment(functions(fleet, "aws")["router"])
    assert len(bytes.fromhex(variables["SKYFLEET_API_KEY_SHA256"])) == 32
    assert "SKYFLEET_OPEN" not in variables
    assert variables["SKYFLEET_API_KEY_SHA256"] == _key_digest("api-key")
    local = settings_for("aws", router={"open": True, "policy": {"probeAfterS": 2}}, emulator={"minuteS": 5})
    opened = environment(functions(recorded(local, tmp_path), "aws")["router"])
    assert (opened["SKYFLEET_OPEN"], json.loads(opened["SKYFLEET_POLICY"])) == ("1", {"probeAfterS": 2})


@pytest.mark.parametrize(
    ("generation", "names"), [(2, ["api-key-2", "api-key"]), (3, ["api-key-3", "api-key-2"])]
)
def test_a_rotation_keeps_the_former_api_key_valid(generation: int, names: list[str], tmp_path: Path) -> None:
    """The resource of the former key is the same as before, so its value is too; older ones are gone."""
    found = recorded(settings_for(*CLOUDS, apiKeyGeneration=generation), tmp_path)
    for cloud in CLOUDS:
        text = environment(functions(found, cloud)["router"])["SKYFLEET_API_KEY_SHA256"]
        assert text == ",".join(map(_key_digest, names))
    passwords = of_type(found, "random:index/randomPassword:RandomPassword")
    assert {one.name for one in passwords if one.name.startswith("api-key")} == set(names)


def _key_digest(name: str) -> str:
    return hashlib.sha256(f"sf-made-up-{name}".encode()).hexdigest()


def test_a_router_gives_up_before_its_platform_ends_the_request(fleet: list[Resource]) -> None:
    """So a client gets the router's JSON error with Retry-After, never a platform's text. Azure's limit is
    fixed; the other two are the function's own."""
    limits = {
        "aws": functions(fleet, "aws")["router"].inputs["timeout"],
        "azure": 230,
        "gcp": functions(fleet, "gcp")["router"].inputs["serviceConfig"]["timeoutSeconds"],
    }
    for key in ("deadlineS", "queueTimeoutS"):
        assert contract.POLICY_NUMBERS[key][1] < min(limits.values())
    assert max(Policy().deadline_s, Policy().queue_timeout_s) <= contract.MAX_DEADLINE_S
    with pytest.raises(ConfigError, match=r"deadlineS: got 225; expected a number from 0\.1 to 220"):
        settings_for("aws", router={"policy": {"deadlineS": 225}})


def test_a_router_is_told_how_agents_are_called_and_where_checkers_run(fleet: list[Resource]) -> None:
    """So its first request is judged as its millionth, and a checker that never reports is missed."""
    variables = environment(functions(fleet, "aws")["router"])
    assert variables["SKYFLEET_AGENT_KIND"] == "function"
    checkers = variables["SKYFLEET_CHECKERS"].split(",")
    assert [place.partition("/")[0] for place in checkers] == ["aws", "azure", "gcp"]


def test_a_router_is_told_of_the_url_that_clients_use_and_of_pages(tmp_path: Path) -> None:
    """A CDN's name, for example. Agents learn it from routers, with each request."""
    given = {"publicUrl": "https://a.example", "corsOrigins": ["https://b.example"]}
    found = functions(recorded(settings_for("aws", router=given), tmp_path), "aws")
    assert environment(found["router"])["SKYFLEET_CORS_ORIGINS"] == '["https://b.example"]'
    assert environment(found["router"])["SKYFLEET_PUBLIC_URL"] == "https://a.example"
    assert "SKYFLEET_PUBLIC_URL" not in environment(found["agent"])


def test_resources_are_children_of_their_component(fleet: list[Resource]) -> None:
    """`pulumi stack` shows a tree of places, functions and their parts."""
    components = Counter(r.token for r in fleet if r.token.startswith("skyfleet:"))
    assert components.pop("skyfleet:gcp:Project") == 1
    assert components == {
        f"skyfleet:{cloud}:{kind}": count
        for cloud in FUNCTIONS
        for kind, count in (("RegionBase", 1), ("Function", 3))
    }


@pytest.mark.parametrize(("given", "expected"), [({}, None), ({"agentPaceMs": 0}, "0")])
def test_a_pace_of_0_is_written_to_the_agent(
    given: Mapping[str, object], expected: str | None, tmp_path: Path
) -> None:
    """Without the key the agent uses its own default."""
    resources = recorded(settings_for("aws", **given), tmp_path)
    agents = [each for each in resources if each.token == FUNCTIONS["aws"] and role(each) == "agent"]
    assert [environment(each).get("AGENT_PACE_MS") for each in agents] == [expected]
