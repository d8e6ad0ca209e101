"""What to do about known errors of a cloud: said in words, or tried again where time alone mends them.

The rule of this file: an error that is not known is left as the provider tells it. An engine without error
hooks (a Pulumi CLI older than this program's) deploys as well, and says less.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import monitor_supports_feature


@dataclass(frozen=True, slots=True)
class KnownError:
    """An error of one resource. pattern: in the provider's words. then: what to do about it.

    again: how often to try once more before that, every_s seconds apart.
    """

    name: str
    pattern: str
    then: str
    again: int = 0
    every_s: float = 30


def should_retry(known: KnownError, errors: Sequence[str]) -> bool | None:
    """True: try again; False: say what to do; None: another error. errors: all so far, the newest first."""
    if not errors or re.search(known.pattern, errors[0]) is None:
        return None
    return sum(re.search(known.pattern, error) is not None for error in errors) <= known.again


def error_hook(known: KnownError) -> pulumi.ResourceHookBinding | None:
    """For the options of resources that may meet the error; made once for each deployment."""
    if not monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS):
        return None

    async def react(args: pulumi.ErrorHookArgs) -> bool:
        found = should_retry(known, args.errors)
        if found:
            await asyncio.sleep(known.every_s)
        elif found is False:
            pulumi.log.error(f"{args.name}: {known.then}")
        return found or False

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(known.name, react)])
