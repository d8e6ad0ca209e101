"""What is asked of an Azure subscription before anything is created in it.

The resource group of each region is read: it is there, or Azure says that it is not, or which credential,
subscription or right is wrong (learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-
deployment-errors: SubscriptionNotFound, AuthorizationFailed). What a role allows cannot be asked this way:
docs/deploy-azure.md says which are needed.

The rule of this file: pure. The subscription is asked through an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from infra.config.model import Settings
from infra.names import regional_name
from infra.preflight.findings import CloudError, Finding, Report, unavailable

WRONG_SUBSCRIPTION = re.compile(
    r"SubscriptionNotFound|InvalidSubscriptionId|could not be found in.*subscr", re.IGNORECASE
)
NO_RIGHT = re.compile(r"AuthorizationFailed|does not have authorization|\b403\b")


class Subscription(Protocol):
    """The questions; each raises CloudError."""

    def identity(self) -> tuple[str, str]:
        """Ids of the subscription and of the caller."""
        ...

    def has_group(self, name: str) -> bool:
        """Whether the resource group is there."""
        ...


def check(settings: Settings, subscription: Subscription) -> Report:
    try:
        number, caller = subscription.identity()
    except CloudError as refused:
        if refused.busy:
            return Report({}, (unavailable("azure", refused),))
        remedy = "Run `az account show`, and when that fails `az login`"
        return Report({}, (Finding("azure", f"the credential is not accepted: {refused}", remedy),))
    found = next(_findings(settings, subscription, number), None)
    return Report({"azure": f"subscription {number} as {caller}"}, (found,) if found else ())


def _findings(settings: Settings, subscription: Subscription, number: str) -> Iterator[Finding]:
    """One is enough: the regions of a subscription say the same."""
    for place in settings.places:
        if place.cloud != "azure":
            continue
        try:
            subscription.has_group(regional_name(settings.prefix, "fleet", place.region, 90))
        except CloudError as refused:
            yield unavailable("azure", refused) if refused.busy else _refusal(number, str(refused))


def _refusal(number: str, said: str) -> Finding:
    if WRONG_SUBSCRIPTION.search(said):
        return Finding(
            "azure",
            f"there is no subscription {number} for this credential",
            "Run `az account list -o table`, then `pulumi config set azure-native:subscriptionId ID`",
        )
    if NO_RIGHT.search(said):
        return Finding(
            "azure",
            f"this credential may not read subscription {number}: {said}",
            "Ask for Owner, or Contributor and User Access Administrator: `az role assignment create --role "
            f"Owner --assignee YOU --scope /subscriptions/{number}`",
        )
    return Finding("azure", f"subscription {number} does not answer: {said}", "Run `az account show`")
