"""An A2A agent of the official SDK: an agent card, messages, a task whose answer is streamed word by word.

The URL in the card is that of a development machine; clients of a fleet get the URL of its router instead.
Tasks live in the memory of one instance: a client gets all of a task in the reply to its message, and later
requests for the task need a store that all clouds share. Add `a2a-sdk[http-server]` to
functions/requirements.in and run `make lock`.
"""

from __future__ import annotations

from a2a.helpers.proto_helpers import new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Task, TaskState, TaskStatus
from starlette.applications import Starlette


class Reverse(AgentExecutor):
    """Says the words of a message in reverse order."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message."""
        task_id, context_id = context.task_id or "", context.context_id or ""
        submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
        await event_queue.enqueue_event(Task(id=task_id, context_id=context_id, status=submitted))
        updater = TaskUpdater(event_queue, task_id, context_id)
        await updater.start_work()
        words = context.get_user_input().split()[::-1]
        for number, word in enumerate(words):
            last = number == len(words) - 1
            await updater.add_artifact(
                [new_text_part(word)], artifact_id="answer", append=number > 0, last_chunk=last
            )
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """End a task that a client cancels."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


card = AgentCard(
    name="Reverse",
    description="Says words in reverse order.",
    version="1.0.0",
    supported_interfaces=[
        AgentInterface(url="http://localhost:9999/a2a", protocol_binding="JSONRPC", protocol_version="1.0")
    ],
    capabilities=AgentCapabilities(streaming=True),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    skills=[
        AgentSkill(id="reverse", name="Reverse", description="Reverses the words of a text.", tags=["text"])
    ],
)
handler = DefaultRequestHandler(agent_executor=Reverse(), task_store=InMemoryTaskStore(), agent_card=card)
app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, rpc_url="/a2a")])
