"""What a deployed stack costs without traffic, and how soon its checkers detect a failed target.

Pure. Prices are list prices in USD before any free tier, of the regions that the sources name; docs/costs.md
is written from here (`python -m bench.costs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.config.model import Cloud, Settings
from skyfleet.contract import DEFAULT_FALL, LIST_PRICES, Checks

READ = "2026-11-26"
MINUTES = 730 * 60  # of a month: a checker's runs
MEMORY_GB = 0.5
# A run takes longer than its probes: the last answer, and the snapshots.
BEYOND_S = 2.0
AGENT_CPU, CHECKER_CPU = 1.0, 0.5  # of Google's functions; the others price memory alone


@dataclass(frozen=True, slots=True)
class Price:
    """A list price. usd: for one `unit`. source: where it was read."""

    usd: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices of a cloud. gb, cpu: per second. least_s: the shortest time billed. free: the free grant."""

    gb: Price
    cpu: Price | None
    million: Price
    least_s: float
    free: str
    secret: Price | None = None
    alarm: Price | None = None
    schedule: Price | None = None


AWS_PAGE = "docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html"
AZURE_PAGE = "modal.com/blog/azure-function-pricing-guide of 2025-05-22, East US"
MONITOR_PAGE = "azure.microsoft.com/pricing/details/monitor (from memory: check it)"
GCP_PAGE = "cloud.google.com/run/pricing, tier 1, CPU during requests only"
RATES: Mapping[Cloud, Rates] = {
    "aws": Rates(
        Price(0.0000166667, "GB-second", AWS_PAGE),
        None,
        Price(LIST_PRICES["aws"], "million requests", AWS_PAGE),
        0.001,
        "400,000 GB-seconds and 1 million requests",
        Price(0.40, "secret and month", "aws.amazon.com/secrets-manager/pricing (from memory: check it)"),
        Price(0.10, "alarm and month", "c3x.dev/resources/aws/aws_cloudwatch_metric_alarm"),
    ),
    "azure": Rates(
        Price(0.000026, "GB-second", AZURE_PAGE),
        None,
        Price(LIST_PRICES["azure"], "million executions", AZURE_PAGE),
        1.0,
        "100,000 GB-seconds and 250,000 executions",
        alarm=Price(0.10, "signal and month", MONITOR_PAGE),
    ),
    "gcp": Rates(
        Price(0.0000025, "GiB-second", GCP_PAGE),
        Price(0.000024, "vCPU-second", GCP_PAGE),
        Price(LIST_PRICES["gcp"], "million requests", GCP_PAGE),
        0.1,
        "180,000 vCPU-seconds, 360,000 GiB-seconds and 2 million requests",
        Price(0.06, "version and month", "cloud.google.com/secret-manager/pricing (from memory: check it)"),
        schedule=Price(0.10, "job and month", "cloud.google.com/scheduler/pricing (from memory: check it)"),
    ),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One line of the bill. amount: the calculation as text."""

    cloud: Cloud
    what: str
    amount: str
    usd: float


def run_s(checks: Checks) -> float:
    """Seconds that one run of a checker is billed."""
    return (checks.probes - 1) * checks.apart_s + BEYOND_S


def detection_s(checks: Checks, fall: int = DEFAULT_FALL, minute_s: float = 60) -> float:
    """Seconds from the failure of a target without traffic until a checker reports it down, at most.

    The target fails right after a probe; then `fall` probes in a row fail, the last one by its time-out.
    """
    run = [probe * checks.apart_s for probe in range(checks.probes)]
    instants = [minute * minute_s + at for minute in range(fall + 2) for at in run]
    worst = max(instants[at + fall] - instants[at] for at in range(checks.probes))
    return worst + checks.timeout_s


def idle(settings: Settings) -> list[Cost]:
    """A month of a stack without a request, and without warm instances (`minInstances`)."""
    return [cost for cloud in settings.clouds for cost in _idle(settings, cloud)]


def total(costs: list[Cost], cloud: Cloud | None = None) -> float:
    return sum(cost.usd for cost in costs if cloud in (None, cost.cloud))


def _idle(settings: Settings, cloud: Cloud) -> Iterator[Cost]:
    rates, checks = RATES[cloud], settings.checks
    seconds = run_s(checks) * MINUTES
    amount = f"{run_s(checks):g} s x {MINUTES:,} runs x {_size(rates, CHECKER_CPU)}"
    yield Cost(cloud, "checker", amount, seconds * _second(rates, CHECKER_CPU))
    targets = sum(place.cloud == cloud for place in settings.places)
    asked = len(settings.checkers) * checks.probes * MINUTES * targets
    yield _requests(rates, cloud, f"probes that {_count(targets, 'agent')} answer", asked)
    routers = sum(place.cloud == cloud for place in settings.routers)
    if routers:
        told = len(settings.checkers) * MINUTES * routers
        yield _requests(rates, cloud, f"snapshots that {_count(routers, 'router')} take", told)
    functions = targets + routers + 1
    for name, price in (("secrets", rates.secret), ("alarms", rates.alarm)):
        if price:
            yield Cost(cloud, name, f"{functions} x {price.usd:.2f}", functions * price.usd)
    if rates.schedule:
        yield Cost(cloud, "schedule", f"1 x {rates.schedule.usd:.2f}", rates.schedule.usd)


def _requests(rates: Rates, cloud: Cloud, what: str, count: int) -> Cost:
    """The costs of short requests, each billed for the shortest time, as if none overlapped another."""
    least = max(rates.least_s, 0.01)
    usd = count * (least * _second(rates, AGENT_CPU) + rates.million.usd / 1e6)
    return Cost(cloud, what, f"{count:,} x {least:g} s x {_size(rates, AGENT_CPU)}, and each request", usd)


def _second(rates: Rates, cpu: float) -> float:
    return MEMORY_GB * rates.gb.usd + (cpu * rates.cpu.usd if rates.cpu else 0)


def _size(rates: Rates, cpu: float) -> str:
    return f"({MEMORY_GB:g} GiB, {cpu:g} vCPU)" if rates.cpu else f"{MEMORY_GB:g} GB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
