"""Parse a request body into an AgentRequest.

Rules
- Every mistake is a CallerError with its place, a position in the JSON or a field.
- A conversation is accepted as clients replay it: all roles of OpenAI's API, also the deprecated `function`
  (openai-python, types/chat/chat_completion_message_param.py), and refusals in place of texts, as a part
  or as the field `refusal` of a message without content.
- Text parts are joined with a line break: each is a text of its own, and often ends without one.
- What the agent does not support is refused here: it would ignore images, and all but one of `n` answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from functions.api import CHOICES, IMAGES, AgentRequest, Image, Message
from functions.errors import BadJson, BadRequest

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
# OpenAI's limit: "Invalid 'n': integer above maximum value. Expected a value <= 128"
# (github.com/thisisartium/continuous-alignment-testing issue 25).
MOST_CHOICES: Final = 128
_IMAGE_FORM: Final = '{"type": "image_url", "image_url": {"url": "..."}}'
EXAMPLE: Final = 'Send {"input": "what is 6 * 7?"} or {"messages": [{"role": "user", "content": "..."}]}.'


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The parts of a request besides its body.

    accepts_events: whether `Accept` asks for an event stream. supports: what the agent declares.
    """

    request_id: str
    accepts_events: bool
    environ: Mapping[str, str]
    supports: frozenset[str] = frozenset()


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadJson or BadRequest."""
    if not body.strip():
        raise BadJson(f"The body is empty, not JSON. {EXAMPLE}")
    try:
        parsed: object = json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadJson(f"The body is not JSON: byte {error.start} is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadJson(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos})."
        ) from None
    except RecursionError:
        raise BadJson("The body is not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise BadJson(f"The body is not JSON that can be read: {error}.") from None
    if not isinstance(parsed, dict):
        raise BadRequest(f"The body is {_kind(parsed)}, expected an object. {EXAMPLE}")
    return cast("dict[str, Any]", parsed)


def invoke_request(body: bytes, origin: RequestContext) -> AgentRequest:
    """A request to POST /invoke, with `input` or `messages` and an optional `stream`."""
    parsed = parse_json(body)
    if "input" in parsed and "messages" in parsed:
        raise BadRequest(f"The body has both input and messages; send one of them. {EXAMPLE}")
    if "input" in parsed:
        text = parsed["input"]
        if not isinstance(text, str):
            raise BadRequest(f"input is {_kind(text)}, expected text. {EXAMPLE}")
        messages = (Message("user", text),)
    elif "messages" in parsed:
        messages = _messages(parsed["messages"], origin.supports)
    else:
        found = ", ".join(sorted(parsed)) or "no field"
        raise BadRequest(f"The body has neither input nor messages; found {found[:200]}. {EXAMPLE}")
    return _request(parsed, messages, origin)


def chat_request(body: bytes, origin: RequestContext) -> AgentRequest:
    """A request to POST /v1/chat/completions."""
    parsed = parse_json(body)
    if "messages" not in parsed:
        raise BadRequest("messages is missing; expected a list of {role, content}.", "messages")
    n = _choices(parsed.get("n"), origin.supports)
    return _request(parsed, _messages(parsed["messages"], origin.supports), origin, n)


def _choices(value: object, supports: frozenset[str]) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (is_number and value == 1):
        return 1
    if CHOICES not in supports:
        raise BadRequest("n is not 1; this agent gives one answer. Leave n out.", "n")
    if not is_number or not 1 <= cast("int", value) <= MOST_CHOICES:
        found = str(value)[:20] if isinstance(value, int | float) else _kind(value)
        raise BadRequest(f"n is {found}, expected a whole number from 1 to {MOST_CHOICES}.", "n")
    return cast("int", value)


def _request(
    parsed: dict[str, Any], messages: tuple[Message, ...], origin: RequestContext, n: int = 1
) -> AgentRequest:
    stream = parsed.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(f"stream is {_kind(stream)}, expected true or false.", "stream")
    inputs = [message.content for message in messages if message.role == "user"]
    if not inputs:
        message = "messages holds no message of role user; the last one is what the agent answers."
        raise BadRequest(message, "messages")
    return AgentRequest(
        messages=messages,
        input=inputs[-1],
        body=parsed,
        request_id=origin.request_id,
        stream=origin.accepts_events if stream is None else stream,
        environ=origin.environ,
        n=n,
    )


def _messages(value: object, supports: frozenset[str]) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        found = _kind(cast("object", value))
        raise BadRequest(f"messages is {found}, expected a list with a message in it.", "messages")
    return tuple(_message(i, item, supports) for i, item in enumerate(cast("list[object]", value)))


def _message(index: int, value: object, supports: frozenset[str]) -> Message:
    where = f"messages[{index}]"
    if not isinstance(value, dict):
        raise BadRequest(f"{where} is {_kind(value)}, expected an object with role and content.", where)
    fields = cast("dict[str, object]", value)
    role = fields.get("role")
    if not isinstance(role, str) or role not in ROLES:
        found = repr(role[:40]) if isinstance(role, str) else _kind(role)
        expected = ", ".join(ROLES)
        raise BadRequest(f"{where}.role is {found}, expected one of {expected}.", f"{where}.role")
    where, content = f"{where}.content", fields.get("content")
    if not isinstance(content, list):
        refusal = fields.get("refusal")
        if content is None and role == "assistant" and isinstance(refusal, str):
            content = refusal
        return Message(role, _text(where, content, role))
    # OpenAI's API takes images from users only (types/chat/chat_completion_user_message_param.py).
    reads = _IMAGE_FORM if role == "user" and IMAGES in supports else None
    parts = [_part(f"{where}[{i}]", part, reads) for i, part in enumerate(cast("list[object]", content))]
    texts = [part for part in parts if isinstance(part, str)]
    return Message(role, "\n".join(texts), tuple(part for part in parts if isinstance(part, Image)))


def _text(where: str, value: object, role: str) -> str:
    if isinstance(value, str):
        return value
    # OpenAI's form of a message with only tool calls, and of a function without a result.
    if value is None and role in ("assistant", "function"):
        return ""
    raise BadRequest(f"{where} is {_kind(value)}, expected text or a list of text parts.", where)


def _part(where: str, value: object, image_form: str | None) -> str | Image:
    """image_form: the form of an image; None where only text is read."""
    if isinstance(value, dict):
        part = cast("dict[str, object]", value)
        kind = part.get("type")
        if kind == "image_url" and image_form:
            from functions.openai.image_parts import image_of  # no cold start pays for its patterns

            return image_of(where, part)
        text = part.get(kind) if isinstance(kind, str) and kind in ("text", "refusal") else None
        if isinstance(text, str):
            return text
    expected = "; only text is read here" if not image_form else f" or {image_form}"
    raise BadRequest(f'{where} is not {{"type": "text", "text": "..."}}{expected}.', where)


def _kind(value: object) -> str:
    match value:
        case None:
            return "missing or null"
        case bool():
            return "true" if value else "false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "an empty list" if value == [] else "a list"
        case _:
            return "an object"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
