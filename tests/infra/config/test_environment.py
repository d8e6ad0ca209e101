"""The values that the config check accepts are those that agents, routers and checkers accept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.demo.pacing import seconds_per_word
from functions.errors import SetupError
from infra.config.environment import check_value, compact, targets_value
from infra.config.model import Settings
from infra.config.parse import parse_settings
from infra.errors import ConfigError
from router.config import checker_settings
from router.core.errors import SettingsError
from router.core.targets import parse_targets
from skyfleet import contract
from skyfleet.contract import CHECK_NUMBERS, DEFAULT_PACE_MS, MAX_CHECK_S, WHOLE_NUMBERS, Checks, Range

pytestmark = pytest.mark.pure

REGIONS = ("eu-west-1", "us-east-1", "eu-west-2")
SECRET = '{"k1": "0123456789abcdef0123456789abcdef"}'


def settings(clouds: object = None, **more: object) -> Settings:
    """Of one region, unless `clouds` says otherwise."""
    clouds = clouds or {"aws": {"regions": [REGIONS[0]]}}
    return parse_settings({"skyfleet:clouds": clouds} | {f"skyfleet:{k}": v for k, v in more.items()}, "dev")


def read_checks(value: str) -> Checks:
    """What a checker reads."""
    target = {"cloud": "aws", "region": "eu-west-1", "url": "https://agent.example.net"}
    environment = {
        contract.CLOUD: "aws",
        contract.REGION: "eu-west-1",
        contract.TARGETS: json.dumps([target]),
        contract.ROUTERS: '["https://router.example.net"]',
        contract.SIGNING_KEYS: SECRET,
        contract.CHECK: value,
    }
    return checker_settings(environment, "build").check


def around(allowed: Range, *, whole: bool = False) -> Iterator[tuple[float, bool]]:
    """Numbers at the ends of a range, and whether they are in it."""
    least, most = allowed
    step = 1 if whole else None
    yield from ((least, True), (most, True))
    yield least - step if step else nextafter(least, -inf), False
    yield most + step if step else nextafter(most, inf), False


CHECK_CASES = [
    pytest.param(name, value, good, id=f"{name}-{value}")
    for name, allowed in CHECK_NUMBERS.items()
    for value, good in around(allowed, whole=name in WHOLE_NUMBERS)
]


@pytest.mark.parametrize(("name", "value", "good"), CHECK_CASES)
def test_config_and_checker_agree_on_the_range_of_each_number(name: str, value: float, good: bool) -> None:
    """A number that the config check accepts starts the checker; any other is refused by both."""
    given: dict[str, float] = {"apartS": 0} if name == "probes" else {"probes": 1}
    given |= {name: value}
    if good:
        found = settings(checks=given).checks
        assert getattr(found, contract.snake_case(name)) == value
        assert read_checks(check_value(found)) == found
        return
    with pytest.raises(ConfigError, match=rf"skyfleet:checks\.{name}: got .* from .* to "):
        settings(checks=given)
    with pytest.raises(SettingsError, match=rf"SKYFLEET_CHECK: {name}: got .* from .* to "):
        read_checks(json.dumps(given))


@pytest.mark.parametrize("value", [2.5, True, "3", None, 10**400, float("nan")])
def test_a_checker_refuses_probes_that_are_no_whole_number(value: object) -> None:
    """The message stays short, also for a number with hundreds of digits."""
    with pytest.raises(SettingsError) as caught:
        read_checks(json.dumps({"probes": value}))
    assert f"expected a whole number from 1 to {MAX_CHECK_S}, e.g. 3" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_checker_without_a_plan_uses_the_config_s_defaults() -> None:
    """A checker started by hand probes as a deployed one does."""
    assert read_checks("") == settings().checks == Checks()


def test_the_longest_invocation_of_a_checker_ends_within_lambda_s_limit() -> None:
    """All rounds, the slowest probe, a cold start and the sending take at most 900 s."""
    from infra.roles import checker_seconds

    longest = {"probes": 1, "apartS": MAX_CHECK_S} | {
        name: CHECK_NUMBERS[name][1] for name in ("timeoutS", "coldTimeoutS")
    }
    assert checker_seconds(settings(checks=longest)) <= 900


PACE_CASES = [*around(contract.PACES_MS), (DEFAULT_PACE_MS, True), (0.5, True)]


@pytest.mark.parametrize(("pace", "good"), PACE_CASES)
def test_config_and_agent_agree_on_the_pace_of_a_stream(pace: float, good: bool) -> None:
    """Each pace from 0 to a second is accepted by both, any other by none."""
    if good:
        assert settings(agentPaceMs=pace).agent_pace_ms == pace
        assert seconds_per_word({contract.AGENT_PACE_MS: f"{pace:g}"}) == pace / 1000
        return
    with pytest.raises(ConfigError, match=r"skyfleet:agentPaceMs: got .* expected a number from 0 to 1000"):
        settings(agentPaceMs=pace)
    with pytest.raises(SetupError, match="expected milliseconds from 0 to 1000"):
        seconds_per_word({contract.AGENT_PACE_MS: repr(pace)})


def test_an_agent_without_a_pace_has_the_contract_s_default() -> None:
    """Missing and empty mean the same."""
    assert settings().agent_pace_ms is None
    assert seconds_per_word({}) == seconds_per_word({contract.AGENT_PACE_MS: ""}) == DEFAULT_PACE_MS / 1000


@given(
    st.integers(1, len(REGIONS)),
    st.floats(contract.WEIGHTS[0] / 2, contract.WEIGHTS[1] * 4),
    st.one_of(st.none(), st.floats(*contract.PRICES)),
)
def test_a_router_accepts_each_weight_and_price_that_the_config_accepts(
    count: int, weight: float, price: float | None
) -> None:
    """The config checks the share of each region, so the router's limits hold after the division."""
    cloud: Mapping[str, object] = {"regions": list(REGIONS[:count]), "weight": weight, "price": price}
    least, most = contract.WEIGHTS
    if not least <= weight / count <= most:
        with pytest.raises(ConfigError, match=r"aws\.weight"):
            settings({"aws": cloud})
        return
    found = settings({"aws": cloud})
    urls = [f"https://{target.place.region}.example.net" for target in found.targets]
    targets, wrong = parse_targets(json.loads(targets_value(found.targets, urls, repeatable=True)))
    assert wrong == []
    assert [target.weight for target in targets] == [target.weight for target in found.targets]


def test_environment_json_keeps_its_order() -> None:
    """The first signing key is the one that signs."""
    assert compact({"k2": "b", "k1": "a"}) == '{"k2":"b","k1":"a"}'
