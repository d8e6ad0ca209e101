"""What AWS offers where: opt-in regions, function URLs, the adapter's layer.

AWS's documents are the source, never the program's list of regions. `account.Settings` says which opt-in
regions
the emulated account has enabled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from emulator.errors import CloudError
from emulator.providers.aws.account import settings_of
from emulator.providers.aws.common import OPERATOR, region
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.values import Properties


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html, stored copy of 2026.
NO_FUNCTION_URLS: Final = _names(
    """ap-east-2 ap-south-2 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-west-1 eu-central-2
    eu-south-2 il-central-1 me-central-1"""
)
# github.com/aws/aws-lambda-web-adapter: .github/workflows/prod.json of v1.0.0 has no me-south-1, and the
# change log of 1.0.1 drops me-central-1. The newest layer is that of 1.1.0 (its README).
NO_ADAPTER: Final = frozenset({"me-south-1", "me-central-1"})
NEWEST_ADAPTER: Final = 30


def need_enabled(where: str, context: Context) -> None:
    """A region that the account has not enabled does not know the credentials.

    Code and message: github.com/epsagon/clear-lambda-storage/issues/9 and chalice/issues/1445.
    """
    if where in settings_of(context).closed:
        raise CloudError(
            "UnrecognizedClientException",
            f"The security token included in the request is invalid. ({where} is an opt-in region that the "
            f"account has not enabled: aws account enable-region --region-name {where})",
        )


def need_layer(layer: str, where: str) -> None:
    """A layer of another account: a version that is absent in the region is answered as one that is
    forbidden.

    Code and message: github.com/hashicorp/vault-lambda-extension/issues/156.
    """
    version = re.search(r":(\d+)$", layer)
    number = int(version.group(1)) if version else 0
    if where in NO_ADAPTER or not 1 <= number <= NEWEST_ADAPTER:
        raise CloudError(
            "AccessDeniedException",
            f"User: {OPERATOR} is not authorized to perform: lambda:GetLayerVersion on resource: {layer} "
            "because no resource-based policy allows the lambda:GetLayerVersion action",
        )


def need_function_urls(where: str) -> None:
    """The sentence is ours: AWS documents where function URLs are missing, not what the call
    answers there.
    """
    if where in NO_FUNCTION_URLS:
        raise CloudError("InvalidParameterValueException", f"Function URLs are not supported in {where}.")


def in_enabled_regions(type: ResourceType) -> ResourceType:
    """The type, with a check that its region is enabled; a global service has no region."""
    if "region" not in type.filled:
        return type
    refers: Callable[[Properties, Context], None] = type.refers

    def enabled_first(inputs: Properties, context: Context) -> None:
        need_enabled(region(inputs), context)
        refers(inputs, context)

    return replace(type, refers=enabled_first)
