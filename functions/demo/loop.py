"""The agent loop without a model: plan, call the tools in order, answer.

Rule: the answer contains only results of tools, and names what was not understood or failed. Of images it
says what was given, since no rule sees what they show.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from functions.api import AgentRequest, Step
from functions.demo.planner import Call, Greet, Help, Intent, NotUnderstood, plan
from functions.demo.rules import PREVIOUS
from functions.demo.tools.base import Context
from functions.demo.tools.catalog import call

ABILITIES: Final = (
    "I work without a model. I can calculate (what is 12 * (3 + 4)?), tell time and date (what time is it in "
    'Tokyo?), work on text (reverse "abc", count the words in "...", sort, extract numbers, summarise), '
    "remember what you say in this conversation (my name is Ada), wait (wait 1.5 seconds), and chain these: "
    "compute 2 + 3 then double it."
)
GREETING: Final = "Hello! Ask me something, or say help."
# Longer inputs of a text tool are truncated in the reply.
SHOWN: Final = 200


async def answer(request: AgentRequest, context: Context) -> AsyncGenerator[str | Step, None]:
    """Yield the steps and then the answer, one line for each sentence."""
    intents = plan(request.input)
    yield Step("plan", request.input[:SHOWN], [_describe(intent) for intent in intents])
    sentences: list[str] = []
    images = next((said.images for said in reversed(request.messages) if said.role == "user"), ())
    if images:
        from functions.demo.images import about_images, described  # not at a cold start

        def is_answered(intent: Intent) -> bool:
            return isinstance(intent, NotUnderstood) and about_images(intent.clause)

        intents = tuple(intent for intent in intents if not is_answered(intent))
        sentences.append(described(images))
    previous: str | None = None
    for intent in intents:
        match intent:
            case Call():
                if intent.needs_previous and previous is None:
                    sentences.append(f"I have no result before it for: {intent.clause[:SHOWN]}.")
                    continue
                ready = _filled(intent, previous or "")
                called = await call(ready.tool, ready.arguments, context)
                yield Step(ready.tool, ready.arguments, called.observation.value)
                previous = called.observation.value if called.ok else None
                sentences.append(called.observation.sentence)
            case Greet():
                sentences.append(GREETING)
            case Help():
                sentences.append(ABILITIES)
            case NotUnderstood():
                previous = None
                sentences.append(f'I did not understand "{intent.clause[:SHOWN]}".')
    if not (intents or images) or any(isinstance(intent, NotUnderstood) for intent in intents):
        sentences.append(ABILITIES)
    for index, sentence in enumerate(sentences):
        yield sentence if index == 0 else f"\n{sentence}"


def _filled(intent: Call, previous: str) -> Call:
    """The call with the previous result in its arguments."""
    if intent.tool == "arithmetic" and previous.startswith("-"):
        previous = f"({previous})"
    arguments = {
        name: value.replace(PREVIOUS, previous) if isinstance(value, str) else value
        for name, value in intent.arguments.items()
    }
    return replace(intent, arguments=arguments)


def _describe(intent: Intent) -> dict[str, str]:
    kind = intent.tool if isinstance(intent, Call) else type(intent).__name__.lower()
    return {"do": kind, "for": intent.clause[:SHOWN]}
