"""The conversation of a request in the form that endpoints of chat completions take.

Rules
- Text parts are joined as in `Message.content`, since some endpoints take texts only. A refusal is text too.
- A message with images is sent with its parts as they are.
- `developer` is sent as `system`, which all endpoints know.
- Tool calls and their results are sent as the client replays them. A result whose call is not in the
  conversation is sent as text of the role `system`, since endpoints refuse it otherwise.
- An empty list of tool calls is left out: clients replay one, and OpenAI's API refuses it as empty
  (github.com/chatboxai/chatbox issue 2079).
- An id or a name that is no text is the client's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from functions.api import AgentRequest
from functions.errors import BadRequest

# Fields of a replayed message besides role and content.
_KEPT: Final = ("name", "tool_calls", "tool_call_id", "function_call")


def conversation(request: AgentRequest, instructions: Iterable[str]) -> list[dict[str, object]]:
    """The messages to send, the instructions first."""
    messages: list[dict[str, object]] = [{"role": "system", "content": text} for text in instructions]
    replayed = request.body.get("messages")
    raw = cast("list[dict[str, Any]]", replayed) if isinstance(replayed, list) else None
    called: set[object] = set()
    for index, message in enumerate(request.messages):
        fields = raw[index] if raw is not None else {}
        call = _text(fields, "tool_call_id" if message.role == "tool" else "name", index)
        if message.role in ("tool", "function") and call not in called:
            text = f"A tool of the caller answered: {message.content}"
            messages.append({"role": "system", "content": text})
            continue
        kept = {name: fields[name] for name in _KEPT if fields.get(name) not in (None, [])}
        called |= _calls(kept)
        role = "system" if message.role == "developer" else message.role
        content: object = fields["content"] if message.images else message.content
        content = content or (None if "tool_calls" in kept or "function_call" in kept else "")
        messages.append({"role": role, "content": content, **kept})
    return messages


def _text(fields: Mapping[str, Any], name: str, index: int) -> str | None:
    """A field of the message with this index. Raises BadRequest."""
    value: object = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    where = f"messages[{index}].{name}"
    raise BadRequest(f"{where} is no text.", where)


def _calls(fields: Mapping[str, Any]) -> set[object]:
    """The ids of the tools that a message calls, and the name of its function (deprecated)."""
    calls = cast("object", fields.get("tool_calls"))
    listed = cast("list[object]", calls) if isinstance(calls, list) else []
    function = cast("object", fields.get("function_call"))
    named = [_member(call, "id") for call in listed] + [_member(function, "name")]
    return {value for value in named if isinstance(value, str)}


def _member(value: object, name: str) -> object:
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
