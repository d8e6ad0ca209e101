"""What is asked of an AWS account before anything is created in it.

Sources: a region that is not opted in refuses everything (docs.aws.amazon.com/accounts, "Enable or disable
AWS Regions"); new accounts run fewer Lambda requests at once than the documented 1000
(docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), and a reservation must leave 100
(configuration-concurrency.html there).

The rule of this file: pure. The account is asked through an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from infra.config.model import Place, Settings
from infra.preflight.findings import CloudError, Finding, Report, unavailable

SERVICE, QUOTA = "lambda", "L-B99A9384"  # concurrent executions
# Fewer at once, and router, agent and checker are in each other's way soon.
FEW = 100
UNRESERVED = 100


class Account(Protocol):
    """The questions; each raises CloudError."""

    def identity(self) -> tuple[str, str]:
        """Account and ARN of the caller."""
        ...

    def regions(self) -> Collection[str]:
        """Those that are enabled."""
        ...

    def concurrency(self, region: str) -> float:
        """Lambda requests at once."""
        ...


def check(settings: Settings, account: Account) -> Report:
    try:
        number, arn = account.identity()
    except CloudError as refused:
        if refused.busy:
            return Report({}, (unavailable("aws", refused),))
        remedy = "Run `aws sts get-caller-identity`, and when that fails `aws sso login` or `aws configure`"
        return Report({}, (Finding("aws", f"the credential is not accepted: {refused}", remedy),))
    return Report({"aws": f"account {number} as {arn}"}, tuple(_findings(settings, account, number)))


def _findings(settings: Settings, account: Account, number: str) -> Iterator[Finding]:
    regions = [place.region for place in settings.places if place.cloud == "aws"]
    try:
        enabled = account.regions()
    except CloudError as refused:
        yield Finding(
            "aws", f"its regions were not told: {refused}", "Allow ec2:DescribeRegions", stops=False
        )
        enabled = regions
    for region in regions:
        if region not in enabled:
            yield Finding(
                "aws",
                f"the region {region} is not enabled in account {number}",
                f"Run `aws account enable-region --region-name {region}` and wait some minutes",
            )
        else:
            yield from _quota(account, region, reserved(settings, region))


def reserved(settings: Settings, region: str) -> int:
    """What the agent and the router of a region reserve."""
    place = Place("aws", region)
    routers = (settings.aws.concurrency or 0) if place in settings.routers else 0
    return (settings.max_instances(settings.target(place)) or 0) + routers


def _quota(account: Account, region: str, wanted: int) -> Iterator[Finding]:
    try:
        most = account.concurrency(region)
    except CloudError as refused:
        yield Finding(
            "aws",
            f"Lambda's quota in {region} was not told: {refused}",
            f"Run `aws lambda get-account-settings --region {region}`: AccountLimit.ConcurrentExecutions",
            stops=False,
        )
        return
    if wanted and most - wanted < UNRESERVED:
        yield Finding(
            "aws",
            f"the stack reserves {wanted} of the {most:g} requests that Lambda runs at once "
            f"in {region}, and {UNRESERVED} must stay unreserved",
            f"Lower or remove maxInstances there and skyfleet:aws.concurrency, or run {_increase(region)}",
        )
    elif most < FEW:
        yield Finding(
            "aws",
            f"Lambda runs at most {most:g} requests at once in {region}, of all functions; more get 429",
            f"Run {_increase(region)}",
            stops=False,
        )


def _increase(region: str) -> str:
    return (
        f"`aws service-quotas request-service-quota-increase --service-code {SERVICE} --quota-code {QUOTA} "
        f"--desired-value 1000 --region {region}`"
    )
