"""Known errors of a cloud: retried where time solves them, explained otherwise.

The rule of this file: an unknown error stays as the provider reports it. A Pulumi CLI without error hooks
(older than the SDK of this program) deploys too, without retries and explanations.
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
    """An error of a resource.

    pattern: found in the provider's message. then: what to do about it. again: the number of
    retries before that, every_s seconds apart.
    """

    name: str
    pattern: str
    then: str
    again: int = 0
    every_s: float = 30


def should_retry(known: KnownError, errors: Sequence[str]) -> bool | None:
    """True: retry. False: print what to do. None: another error. errors: all so far, the newest first."""
    if not errors or re.search(known.pattern, errors[0]) is None:
        return None
    return sum(re.search(known.pattern, error) is not None for error in errors) <= known.again


def error_hook(known: KnownError) -> pulumi.ResourceHookBinding | None:
    """A hook for the options of resources that may have the error; made once for each deployment."""
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
