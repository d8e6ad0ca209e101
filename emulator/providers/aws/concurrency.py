"""Limits of reserved Lambda concurrency in an account.

In a region 100 concurrent executions must stay unreserved, in a smaller account all of them ("below its
minimum
value of [10]": github.com/aws-samples/one-observability-demo/issues/278 and many more).
"""

from __future__ import annotations

from typing import Final

from emulator.errors import CloudError
from emulator.providers.aws.account import settings_of
from emulator.providers.aws.common import FUNCTION, region
from emulator.providers.resource_types import Context
from emulator.providers.values import Properties, number, text

UNRESERVED_AT_LEAST: Final = 100


def need_unreserved(inputs: Properties, context: Context) -> None:
    """Refuses a reservation that leaves too little for functions without one.

    The real provider has created the function by then and fails; here nothing is created.
    """
    wanted = number(inputs, "reservedConcurrentExecutions", default=-1)
    if wanted < 0:
        return
    others = sum(
        max(0, number(resource.inputs, "reservedConcurrentExecutions", default=-1))
        for resource in context.all(FUNCTION)
        if region(resource.inputs) == region(inputs) and text(resource.inputs, "name") != text(inputs, "name")
    )
    most = settings_of(context).most_at_once
    least = min(UNRESERVED_AT_LEAST, most)
    if most - others - wanted < least:
        raise CloudError(
            "InvalidParameterValueException",
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{least}].",
        )
