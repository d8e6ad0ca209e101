"""Wait for a time, to test timeouts and streams with a slow answer."""

from __future__ import annotations

from typing import Final

from functions.demo.tools.base import (
    Arguments,
    Context,
    Observation,
    Tool,
    ToolFailed,
    number_argument,
    schema,
)

# Far below Azure's limit of 230 s for an HTTP request, and cheap.
MAX_WAIT_S: Final = 30.0


async def _run(arguments: Arguments, context: Context) -> Observation:
    asked = number_argument(arguments, "seconds", 1.0)
    if asked < 0:
        raise ToolFailed(f"I cannot wait {asked:g} seconds; ask for 0 to {MAX_WAIT_S:g}.")
    seconds = min(asked, MAX_WAIT_S)
    await context.wait(seconds)
    why = f" (no longer: {MAX_WAIT_S:g} seconds is my limit)" if asked > MAX_WAIT_S else ""
    return Observation(
        f"{seconds:g}", f"I waited {seconds:g} {'second' if seconds == 1 else 'seconds'}{why}."
    )


WAIT: Final = Tool(
    name="wait",
    description=f"Wait a number of seconds, at most {MAX_WAIT_S:g}.",
    parameters=schema(("seconds",), seconds={"type": "number"}),
    run=_run,
)
