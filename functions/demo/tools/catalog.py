"""The tools by name, and calls of them that return failures as observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.demo.tools.arithmetic import ARITHMETIC
from functions.demo.tools.base import Arguments, Context, Observation, Tool, ToolFailed
from functions.demo.tools.clock import CLOCK
from functions.demo.tools.memory import MEMORY
from functions.demo.tools.text import TEXT
from functions.demo.tools.wait import WAIT

TOOLS: Final[dict[str, Tool]] = {tool.name: tool for tool in (ARITHMETIC, CLOCK, TEXT, MEMORY, WAIT)}


@dataclass(frozen=True, slots=True)
class Called:
    """The outcome of a call. The observation of a failed call has the reason."""

    ok: bool
    observation: Observation


async def call(name: str, arguments: Arguments, context: Context) -> Called:
    """Run a tool by name. Unknown tools and refused arguments are returned as failed calls."""
    tool = TOOLS.get(name)
    if tool is None:
        text = f"There is no tool {name[:40]!r}; there is {', '.join(TOOLS)}."
        return Called(ok=False, observation=Observation(text, text))
    try:
        return Called(ok=True, observation=await tool.run(arguments, context))
    except ToolFailed as error:
        return Called(ok=False, observation=Observation(str(error), str(error)))
