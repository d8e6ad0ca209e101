"""A synchronous chain in LangChain's shape: steps joined by `|`, called by `invoke`, which blocks.

LangChain is no dependency here. `Runnable` has the interface of `langchain_core.runnables.Runnable` that an
agent uses, so a chain of LangChain takes the place of CHAIN: `CHAIN = prompt | model | parser`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.api import AgentRequest, repeatable


@dataclass(frozen=True)
class Runnable:
    """One step, or several in a row."""

    step: Callable[[Any], Any]

    def invoke(self, input: object, config: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        """Run the step and wait for its result."""
        return self.step(input)

    def __or__(self, after: Runnable) -> Runnable:
        return Runnable(lambda input: after.invoke(self.invoke(input)))


def prompt(values: Mapping[str, str]) -> str:
    return f"Answer briefly: {values['question']}"


def model(text: str) -> str:
    """The place of a model, which a chain calls and waits for."""
    time.sleep(0.05)
    return f"  I was asked '{text}'.  "


CHAIN = Runnable(prompt) | Runnable(model) | Runnable(str.strip)


@repeatable
def agent(request: AgentRequest) -> str:
    """The answer of the chain."""
    return CHAIN.invoke({"question": request.input})
