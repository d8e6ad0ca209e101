"""Tests of the cost of an idle stack and of docs/costs.md."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.costs import DOCUMENT, example, tables, written
from infra.clouds.gcp.function import CHECKER_CPU
from infra.config.instances import google_cpus
from infra.config.model import CLOUDS, Cloud
from infra.costs import AGENT_CPU, MEMORY_GB, RATES, detection_s, idle, run_s, total
from infra.costs import CHECKER_CPU as PRICED_CPU
from infra.roles import MEMORY_MB
from router.core.policy import Policy
from skyfleet.contract import DEFAULT_FALL, Checks
from tests.infra.recorded import of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")


@pytest.mark.parametrize(
    ("cloud", "usd"),
    [
        ("aws", 0.5 * 52 * 43_800 * 0.0000166667),
        ("azure", 0.5 * 52 * 43_800 * 0.000026),
        ("gcp", 52 * 43_800 * (0.5 * 0.0000025 + 0.5 * 0.000024)),
    ],
)
def test_the_cost_of_a_checker_that_runs_all_the_time(cloud: Cloud, usd: float) -> None:
    """It is billed for memory, and on Google for half a vCPU, in 52 of 60 seconds."""
    costs = idle(settings_for(cloud, checks={"probes": 6, "apartS": 10}))
    (checker,) = [cost for cost in costs if cost.what == "checker"]
    assert math.isclose(checker.usd, usd)


@pytest.mark.parametrize(
    ("checks", "seconds"),
    [(Checks(6, 10), 33), (Checks(3, 5), 63), (Checks(2, 20), 103), (Checks(1, 10), 183)],
)
def test_the_longest_time_to_detect_a_dead_target(checks: Checks, seconds: float) -> None:
    """It begins just after a probe and ends with the timeout of the third failed probe."""
    assert detection_s(checks) == seconds


def test_the_default_costs_a_fraction_and_detects_a_dead_target_in_about_a_minute() -> None:
    """docs/costs.md has the reasons for the default."""
    settings = settings_for(*CLOUDS)
    filled = replace(settings, checks=Checks(6, 10))
    checker = [cost.usd for cost in idle(settings) if cost.what == "checker"]
    assert sum(checker) < sum(cost.usd for cost in idle(filled) if cost.what == "checker") / 4
    assert total(idle(settings)) < total(idle(filled)) / 2
    assert detection_s(settings.checks) < 70
    assert settings.checks.probes >= DEFAULT_FALL


def test_the_priced_resources_are_the_deployed_resources(tmp_path: Path) -> None:
    """This covers sizes and the numbers of secrets, alarms and jobs."""
    assert (MEMORY_MB, Policy().fall) == (MEMORY_GB * 1024, DEFAULT_FALL)
    assert (f"{AGENT_CPU:g}", f"{PRICED_CPU:g}") == (str(google_cpus(MEMORY_MB)), CHECKER_CPU)
    settings = settings_for(*CLOUDS)
    made = recorded(settings, tmp_path)
    tokens = {
        ("aws", "secrets"): "aws:secretsmanager/secret:Secret",
        ("aws", "alarms"): "aws:cloudwatch/metricAlarm:MetricAlarm",
        ("azure", "alarms"): "azure-native:monitor:MetricAlert",
        ("gcp", "secrets"): "gcp:secretmanager/secretVersion:SecretVersion",
        ("gcp", "schedule"): "gcp:cloudscheduler/job:Job",
    }
    priced = {(cost.cloud, cost.what): cost.amount for cost in idle(settings)}
    for key, token in tokens.items():
        assert priced[key].startswith(f"{len(of_type(made, token))} x")


def test_the_document_is_up_to_date() -> None:
    """`python -m bench.costs` writes it."""
    document = DOCUMENT.read_text()
    assert document == written(document, tables(example()))


def test_every_price_has_its_source() -> None:
    """Each has the URL of the vendor's price list."""
    for rates in RATES.values():
        for price in (rates.gb, rates.cpu, rates.million, rates.secret, rates.alarm, rates.schedule):
            assert price is None or ("." in price.source and price.usd > 0)
    assert run_s(Checks(1, 10)) >= 1
