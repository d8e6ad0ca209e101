"""Tests of the parser of the stack config: values, defaults, and the report of all mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import yaml

from infra.config.model import EmulatorSettings, Model, Place, Settings
from infra.config.parse import parse_settings
from infra.errors import ConfigError
from infra.packaging import ROOT
from router.core import policy as router_policy
from skyfleet.contract import POLICY_KEYS, POLICY_NUMBERS, Checks

pytestmark = pytest.mark.pure

CLOUDS: Mapping[str, object] = {
    "aws": {"regions": ["eu-west-1"], "weight": 3},
    "azure": {"regions": ["westeurope"], "weight": 2},
    "gcp": {"regions": ["europe-west1"], "weight": 1, "project": "test-project"},
}


def settings(clouds: object = CLOUDS, **more: object) -> Settings:
    return parse_settings({"skyfleet:clouds": clouds} | {f"skyfleet:{k}": v for k, v in more.items()}, "dev")


def mistakes(clouds: object = CLOUDS, **more: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(clouds, **more)
    for mistake in caught.value.mistakes:
        assert "; expected " in mistake, mistake
        assert ", e.g. " in mistake, mistake
    return list(caught.value.mistakes)


@pytest.mark.parametrize("name", ["local", "example"])
def test_the_stack_configs_of_the_repository_are_valid(name: str) -> None:
    """These are the emulator's stack and the example for real accounts."""
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    found = parse_settings(config, name)
    assert found.clouds == ("aws", "azure", "gcp")
    assert found.emulated == (name == "local")
    assert found.open == (name == "local")


def test_yaml_values_and_the_engines_json_text_are_read_alike() -> None:
    """The command line reads the file, and the program gets JSON text from the engine."""
    more: dict[str, object] = {"router": {"clouds": ["gcp"]}, "keyGeneration": 2, "name": "fleet1"}
    parsed: dict[str, object] = {"skyfleet:clouds": CLOUDS} | {f"skyfleet:{k}": v for k, v in more.items()}
    texts: dict[str, object] = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in parsed.items()
    }
    assert parse_settings(parsed, "dev") == parse_settings(texts, "dev")


def test_only_the_clouds_are_required() -> None:
    """The defaults include a router and a checker on every cloud, an API key and three probes a minute."""
    found = settings()
    assert found.routers == found.checkers == found.places
    assert (found.strategy, found.open, found.agent) == ("adaptive", False, "functions.agent:agent")
    assert found.checks == Checks(probes=3, apart_s=5, timeout_s=3, cold_timeout_s=30)
    assert (found.model, found.key_generation, found.emulated) == (None, 1, False)


def test_each_key_reaches_the_settings() -> None:
    """The config of this test sets every key."""
    found = settings(
        router={
            "clouds": ["gcp", "aws"],
            "strategy": "random",
            "open": True,
            "policy": {"probeAfterS": 2, "fall": 3},
            "corsOrigins": ["https://app.example.com", "http://localhost:5173"],
            "publicUrl": "https://Agents.example.com:443/team/",
        },
        agent="mymodule.sub:app",
        name="shop",
        checks={"probes": 3, "apartS": 0.5},
        model={"baseUrl": "https://api.example.com/v1", "name": "small"},
        keyGeneration=4,
        agentPaceMs=20,
        emulator={"minuteS": 5, "delays": 0.1},
    )
    assert [place.cloud for place in found.routers] == ["gcp", "aws"]
    assert (found.strategy, found.open, found.policy) == ("random", True, {"probeAfterS": 2, "fall": 3})
    assert (found.agent, found.name, found.prefix) == ("mymodule.sub:app", "shop", "shop-dev")
    assert found.checks == Checks(probes=3, apart_s=0.5)
    assert found.cors_origins == ("https://app.example.com", "http://localhost:5173")
    assert found.public_url == "https://agents.example.com/team"
    assert found.model == Model("https://api.example.com/v1", "small")
    assert (found.key_generation, found.agent_pace_ms, found.emulator) == (4, 20, EmulatorSettings(5, 0.1))


def test_the_router_accepts_every_valid_policy_and_price() -> None:
    """The lists of strategies, policy keys and prices in infra and in the router agree."""
    for end in (0, 1):
        policy_values: dict[str, object] = {
            **{name: span[end] for name, span in POLICY_NUMBERS.items()},
            "hedge": "off",
            "allowedOverrides": ["redundant"],
        }
        assert tuple(policy_values) == POLICY_KEYS
        found = settings(router={"policy": policy_values})
        assert found.policy == policy_values
        policy, wrong = router_policy.parse(found.policy)
        assert wrong == []
    assert (policy.hedge, policy.allowed_overrides) == ("off", frozenset({"redundant"}))
    assert settings(router={"policy": {"hedge": False, "allowedOverrides": []}}).policy == {
        "hedge": "off",
        "allowedOverrides": [],
    }


def test_a_clouds_price_holds_for_each_of_its_regions() -> None:
    """Unlike a weight it is not divided; without a price the router uses the list price."""
    priced = settings({"aws": {"regions": ["eu-west-1", "us-east-1"], "price": 0.25}})
    assert [target.price for target in priced.targets] == [0.25, 0.25]
    assert [target.price for target in settings().targets] == [None, None, None]


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_any_single_cloud_is_a_fleet(cloud: str) -> None:
    """The router is then on the same cloud."""
    found = settings({cloud: CLOUDS[cloud]})
    assert found.clouds == (cloud,)
    assert found.routers == found.places


def test_a_clouds_weight_is_divided_by_its_regions() -> None:
    """Two regions of a cloud with weight 3 have 1.5 each; router and checker are in the first region."""
    found = settings({"aws": {"regions": ["eu-west-1", "us-east-1"], "weight": 3}})
    assert [target.weight for target in found.targets] == [1.5, 1.5]
    assert found.routers == found.checkers == (Place("aws", "eu-west-1"),)


def test_googles_project_may_come_from_the_providers_config() -> None:
    """The provider reads `gcp:project` too."""
    config = {"skyfleet:clouds": {"gcp": {"regions": ["europe-west1"]}}, "gcp:project": "other-project"}
    assert parse_settings(config, "dev").project == "other-project"


def test_a_project_given_twice_must_be_the_same() -> None:
    """Otherwise the program and the provider would use different projects."""
    entry = {"regions": ["europe-west1"], "project": "one-project"}
    config = {"skyfleet:clouds": {"gcp": entry}, "gcp:project": "other-project"}
    with pytest.raises(ConfigError, match="got one-project here and other-project as gcp:project"):
        parse_settings(config, "dev")
    assert parse_settings(config | {"gcp:project": "one-project"}, "dev").project == "one-project"


def test_all_mistakes_are_reported_in_one_error() -> None:
    """The user can correct all of them before the next deploy."""
    wrong = {
        "aws": {"regions": ["eu-west-1"], "weight": -3},
        "azur": {"regions": ["westeurope"], "weight": 2},
        "gcp": {"regions": ["europe-west99"], "weight": 1, "project": "test-project"},
    }
    found = mistakes(wrong, router={"clouds": ["aws", "azure"], "strategy": "heaviest"}, agnet="x:y")
    assert len(found) == 5
    for word in (
        "azur",
        "did you mean azure",
        "europe-west99",
        "-3",
        "heaviest",
        "agnet",
        "did you mean agent",
    ):
        assert any(word in mistake for mistake in found), word


@pytest.mark.parametrize("clouds", [None, {}, "aws"])
def test_routers_of_a_fleet_without_clouds_are_no_further_mistakes(clouds: object) -> None:
    """They follow from the first one."""
    (found,) = mistakes(clouds, router={"clouds": ["gcp", "aws"]})
    assert found.startswith("skyfleet:clouds: got ")


def test_the_example_of_a_routers_cloud_is_a_cloud() -> None:
    """Also beside a mistyped one."""
    found = mistakes({"asw": {"regions": ["eu-west-1"]}}, router={"clouds": ["aws", "gcp"]})
    assert any("got 'gcp'; expected only clouds" in one and one.endswith("e.g. [aws]") for one in found)


@pytest.mark.parametrize(
    ("clouds", "expected"),
    [({}, "at least one cloud"), ({"aws": {"regions": ["eu-west-1"], "weight": 0}}, "weight 0 for every")],
)
def test_mistakes_of_the_whole_fleet_are_reported_with_other_mistakes(clouds: object, expected: str) -> None:
    """An unrelated typo does not hide them."""
    found = mistakes(clouds, agnet="x:y")
    assert len(found) == 2, found
    assert expected in found[1]


def test_a_misspelt_cloud_is_not_reported_as_missing_too() -> None:
    """The suggestion of the right name suffices."""
    with pytest.raises(ConfigError) as caught:
        parse_settings({"skyfleet:cluods": CLOUDS}, "dev")
    (only,) = caught.value.mistakes
    assert "did you mean clouds" in only


ONE_MISTAKE: Mapping[str, tuple[object, Mapping[str, object], str]] = {
    "no-cloud": ({}, {}, "skyfleet:clouds"),
    "clouds-not-a-mapping": (["aws"], {}, "a mapping"),
    "weight-not-a-number": (
        {"aws": {"regions": ["eu-west-1"], "weight": "much"}},
        {},
        "aws.weight: got 'much'",
    ),
    "weight-is-a-flag": ({"aws": {"regions": ["eu-west-1"], "weight": True}}, {}, "aws.weight: got true"),
    "weight-not-finite": ({"aws": {"regions": ["eu-west-1"], "weight": float("nan")}}, {}, "aws.weight"),
    "all-weights-0": ({"aws": {"regions": ["eu-west-1"], "weight": 0}}, {}, "weight 0 for every cloud"),
    "no-region": ({"aws": {"weight": 1}}, {}, "aws.regions: got nothing"),
    "region-twice": ({"aws": {"regions": ["eu-west-1", "eu-west-1"]}}, {}, "eu-west-1 twice"),
    "region-of-another-cloud": ({"aws": {"regions": ["westeurope"]}}, {}, "aws.regions: got 'westeurope'"),
    "unknown-key-of-a-cloud": ({"aws": {"regions": ["eu-west-1"], "wieght": 1}}, {}, "did you mean weight"),
    "no-project": ({"gcp": {"regions": ["europe-west1"]}}, {}, "gcp.project: got nothing"),
    "router-elsewhere": (
        {"aws": CLOUDS["aws"]},
        {"router": {"clouds": ["gcp"]}},
        "under skyfleet:clouds (aws)",
    ),
    "router-nowhere": (CLOUDS, {"router": {"clouds": []}}, "router.clouds"),
    "router-on-no-cloud": (CLOUDS, {"router": {"clouds": ["ibm"]}}, "router.clouds: got 'ibm'"),
    "unknown-key-of-the-router": (CLOUDS, {"router": {"stratgy": "random"}}, "did you mean strategy"),
    "strategy": (CLOUDS, {"router": {"strategy": "best"}}, "router.strategy: got 'best'"),
    "open-on-real-clouds": (CLOUDS, {"router": {"open": True}}, "only an emulated stack is open"),
    "emulator-delays": (CLOUDS, {"emulator": {"delays": 2}}, "skyfleet:emulator.delays"),
    "former-name": (
        CLOUDS,
        {"sky": {"minuteS": 5}},
        'former key; expected its present name, skyfleet:emulator, e.g. skyfleet:emulator: {"minuteS": 5}',
    ),
    "former-name-of-an-open-stack": (
        CLOUDS,
        {"sky": {}, "router": {"open": True}},
        "its present name, skyfleet:emulator, e.g. skyfleet:emulator: {}",
    ),
    "public-url": (CLOUDS, {"router": {"publicUrl": "agents.example.com"}}, "publicUrl: got 'agents.example"),
    "origin-with-a-path": (
        CLOUDS,
        {"router": {"corsOrigins": ["https://app.example.com/"]}},
        "corsOrigins: got 'https://app.example.com/'; expected origins as browsers send them",
    ),
    "every-origin-and-one": (CLOUDS, {"router": {"corsOrigins": ["*", "https://a.example"]}}, "or [*]"),
    "no-origin": (CLOUDS, {"router": {"corsOrigins": []}}, "corsOrigins: got"),
    "public-url-in-clear": (
        CLOUDS,
        {"router": {"publicUrl": "http://agents.example.com"}},
        "an https URL without query and user, http only when emulated, e.g. https://agents.example.com",
    ),
    "open-not-a-flag": (CLOUDS, {"router": {"open": "yes"}, "emulator": {}}, "true or false"),
    "policy-unknown": (CLOUDS, {"router": {"policy": {"probeAfterMs": 2}}}, "did you mean probeAfterS"),
    "policy-not-positive": (CLOUDS, {"router": {"policy": {"probeAfterS": 0}}}, "policy.probeAfterS: got 0"),
    "policy-too-much": (CLOUDS, {"router": {"policy": {"hedgeShare": 5}}}, "a number from 0.001 to 1"),
    "policy-endless": (
        CLOUDS,
        {"router": {"policy": {"probeAfterS": 10**400}}},
        "policy.probeAfterS: got 1000",
    ),
    "weight-endless": ({"aws": {**CLOUDS["aws"], "weight": 10**400}}, {}, "aws.weight: got 1000"),
    "weight-too-small": ({"aws": {**CLOUDS["aws"], "weight": 1e-9}}, {}, "from 0.000001 to 1000000"),
    "price-too-high": ({"aws": {**CLOUDS["aws"], "price": 1e12}}, {}, "from 0 to 1000000000"),
    "policy-not-whole": (CLOUDS, {"router": {"policy": {"fall": 1.5}}}, "an integer"),
    "hedge": (CLOUDS, {"router": {"policy": {"hedge": "always"}}}, "policy.hedge: got 'always'"),
    "allowed-overrides": (
        CLOUDS,
        {"router": {"policy": {"allowedOverrides": ["strategie"]}}},
        "did you mean strategy",
    ),
    "price": ({"aws": {"regions": ["eu-west-1"], "price": -1}}, {}, "aws.price: got -1"),
    "agent-syntax": (CLOUDS, {"agent": "functions/agent.py"}, "module:attribute"),
    "agent-is-a-file": (CLOUDS, {"agent": "mine.py:app"}, "without .py, as Python imports it, e.g. mine:app"),
    "agent-hides-the-standard-library": (CLOUDS, {"agent": "calendar:agent"}, "another name than calendar"),
    "agent-hides-an-entry-file": (CLOUDS, {"agent": "function_app:app"}, "another name than function_app"),
    "agent-reserved": (
        CLOUDS,
        {"agent": "router.app:create"},
        "outside of bench, docs, emulator, infra, locks, router, skyfleet, tests, tools",
    ),
    "name": (CLOUDS, {"name": "My Fleet"}, "lower-case letters"),
    "checks": (CLOUDS, {"checks": {"probes": 0}}, "checks.probes: got 0"),
    "checks-too-long": (CLOUDS, {"checks": {"probes": 60, "apartS": 60}}, "skyfleet:checks"),
    "checks-unknown": (CLOUDS, {"checks": {"probe": 3}}, "did you mean probes"),
    "model-url": (CLOUDS, {"model": {"baseUrl": "example.com", "name": "small"}}, "model.baseUrl"),
    "model-key-alone": (CLOUDS, {"modelApiKey": "k"}, "skyfleet:model: got nothing"),
    "model-name": (CLOUDS, {"model": {"baseUrl": "https://example.com"}}, "model.name: got nothing"),
    "key-generation": (CLOUDS, {"keyGeneration": 0}, "keyGeneration: got 0"),
    "api-key-generation": (CLOUDS, {"apiKeyGeneration": 1.5}, "apiKeyGeneration: got 1.5"),
    "emulator-unknown": (CLOUDS, {"emulator": {"minutes": 5}}, "did you mean minuteS"),
    "emulator-too-fast": (CLOUDS, {"emulator": {"minuteS": 0.01}}, "emulator.minuteS"),
    "emulator-too-slow": (CLOUDS, {"emulator": {"minuteS": 99999}}, "a number from 0.5 to 3600"),
    "unknown-key": (CLOUDS, {"regions": []}, "skyfleet:regions: got an unknown key"),
}


# A former name of the policy, a value that was valid for it, and the present name.
RENAMED_IN_POLICY = (
    ("holdS", 5, "queueTimeoutS"),
    ("stallS", 2, "probeAfterS"),
    ("callersMay", ["strategy"], "allowedOverrides"),
    ("goalMs", 800, "latencyGoalMs"),
)


@pytest.mark.parametrize(("former", "value", "today"), RENAMED_IN_POLICY)
@pytest.mark.parametrize("mixed", [False, True], ids=["alone", "beside-its-new-name"])
def test_a_former_name_in_the_policy_is_refused_with_the_new_one(
    former: str, value: object, today: str, *, mixed: bool
) -> None:
    """The former name is a mistake even if the new name is set too."""
    policy = {former: value} | ({today: value} if mixed else {})
    (found,) = mistakes(CLOUDS, router={"policy": policy})
    assert f"skyfleet:router.policy.{former}: got a former key" in found
    expected = f"its present name, skyfleet:router.policy.{today}, e.g. {{{today}: {json.dumps(value)}}}"
    assert found.endswith(expected)


@pytest.mark.parametrize(("clouds", "more", "expected"), ONE_MISTAKE.values(), ids=ONE_MISTAKE.keys())
def test_a_mistake_is_reported_once(clouds: object, more: Mapping[str, object], expected: str) -> None:
    """No other message follows from the same cause."""
    found = mistakes(clouds, **more)
    assert len(found) == 1, found
    assert expected in found[0]


def test_a_secret_is_never_shown() -> None:
    """A mistake next to the model's key does not print the key."""
    found = mistakes(modelApiKey="not-to-be-printed", agent="?")
    assert "not-to-be-printed" not in "".join(found)
