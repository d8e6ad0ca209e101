"""An AWS account: its enabled regions and its limit of concurrent Lambda requests.

The account's settings are a resource of the store that no program can name. Without one the account is new:
few concurrent executions, all regions enabled. A region that needs an opt-in and has none is not listed:
docs.aws.amazon.com/accounts, "Enable or disable AWS Regions". New accounts have fewer concurrent executions
than 1000: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; 10 in
github.com/awslabs/fhir-works-on-aws-deployment/issues/691 and many other threads. A quota that was never
applied is answered with its default: terraform-provider-aws
internal/service/servicequotas/service_quota_data_source.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emulator.errors import CloudError
from emulator.providers.aws.common import ACCOUNT
from emulator.providers.resource_types import Context
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, items, number, text

SETTINGS: Final = "emulator:aws/account:Account"
KEY: Final = "emulator/aws/account"
DEFAULT_CONCURRENCY: Final = 1000
NEW_CONCURRENCY: Final = 10
CONCURRENCY: Final = ("lambda", "L-B99A9384")
ALWAYS: Final = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-central-1"),
    *("eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "ap-northeast-1", "ap-northeast-2"),
    *("ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
)
OPTED_IN: Final = (
    *("af-south-1", "ap-east-1", "ap-southeast-3", "eu-south-1", "me-south-1", "mx-central-1"),
    *("ap-southeast-4", "ap-southeast-5", "ap-southeast-7", "ap-south-2", "ca-west-1", "eu-central-2"),
    *("eu-south-2", "il-central-1", "me-central-1", "ap-east-2", "ap-southeast-6"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """closed: regions that need an opt-in and have none. concurrency: None where no quota is reported."""

    closed: tuple[str, ...] = ()
    concurrency: int | None = NEW_CONCURRENCY

    @property
    def most_at_once(self) -> int:
        """Limit of concurrent Lambda requests in a region."""
        return DEFAULT_CONCURRENCY if self.concurrency is None else self.concurrency


def settings_resource(settings: Settings) -> Resource:
    """The settings as a resource of the store."""
    outputs: Properties = {"closed": list(settings.closed), "concurrency": settings.concurrency}
    return Resource(KEY, SETTINGS, ACCOUNT, "", {}, outputs)


def settings_of(context: Context) -> Settings:
    """Settings of the account of an operation."""
    return settings_in(context.resources)


def settings_in(resources: Mapping[str, Resource]) -> Settings:
    """Settings of the account that these resources belong to."""
    resource = resources.get(KEY)
    if resource is None:
        return Settings()
    most = resource.outputs["concurrency"]
    closed = tuple(str(region) for region in items(resource.outputs, "closed"))
    return Settings(closed, None if most is None else int(number(resource.outputs, "concurrency")))


def regions(inputs: Properties, context: Context) -> Properties:
    closed = settings_of(context).closed
    opted_in = [region for region in OPTED_IN if region not in closed]
    return {"id": "aws", "names": [*ALWAYS, *opted_in]}


def service_quota(inputs: Properties, context: Context) -> Properties:
    code, service = text(inputs, "quotaCode"), text(inputs, "serviceCode")
    most = settings_of(context).concurrency
    if (service, code) != CONCURRENCY or most is None:
        raise CloudError("NoSuchResourceException", f"getting Default Service Quota for ({service}/{code})")
    arn = f"arn:aws:servicequotas:{text(inputs, 'region')}:{ACCOUNT}:{service}/{code}"
    return {
        "id": arn,
        "arn": arn,
        "adjustable": True,
        "globalQuota": False,
        "usageMetrics": [],
        "quotaCode": code,
        "quotaName": "Concurrent executions",
        "region": text(inputs, "region"),
        "serviceCode": service,
        "serviceName": "AWS Lambda",
        "value": most,
        "defaultValue": DEFAULT_CONCURRENCY,
    }
