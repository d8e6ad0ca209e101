"""The AWS provider: a Lambda function and everything around it."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.errors import CloudError
from emulator.providers.aws import account, functions, iam, regions, s3, services
from emulator.providers.aws.common import ACCOUNT, OPERATOR, PARTITION
from emulator.providers.registry import Invoke
from emulator.providers.resource_types import Context
from emulator.providers.values import Json, Properties, text

_RESOURCE_TYPES = (
    *functions.RESOURCE_TYPES,
    *iam.RESOURCE_TYPES,
    *s3.RESOURCE_TYPES,
    *services.RESOURCE_TYPES,
)
RESOURCE_TYPES = tuple(regions.in_enabled_regions(type) for type in _RESOURCE_TYPES)
DEFAULTS: Mapping[str, Json] = {}


def _caller(inputs: Properties, context: Context) -> Properties:
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": OPERATOR, "userId": "AIDASKYOPERATOR000000"}


def _region(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "region") or text(inputs, "name") or text(dict(context.config), "region")
    if not name:
        raise CloudError("MissingRegion", "no region is configured: set aws:region, or give the provider one")
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.amazonaws.com",
    }


def _partition(inputs: Properties, context: Context) -> Properties:
    return {
        "id": PARTITION,
        "partition": PARTITION,
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


INVOKES: Mapping[str, Invoke] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegions:getRegions": account.regions,
    "aws:servicequotas/getServiceQuota:getServiceQuota": account.service_quota,
}
