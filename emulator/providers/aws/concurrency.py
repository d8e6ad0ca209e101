"""What an account may reserve of the Lambda requests that run at once in a region.

The rule of this file: 100 must stay unreserved in a region, and in a smaller account all of it ("below its
minimum value of [10]": github.com/aws-samples/one-observability-demo/issues/278 and many more).
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
    """Refused where too little would stay for the functions without a reservation.

    The real provider has made the function by then and ends with an error; here nothing is made.
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
