"""The HTTP contract of the agent function: equal requests get equal status, headers and bytes on every cloud.

The cases run in process, on a plain server and on the emulated clouds; tests.contract_check compares a reply
with its case. No case depends on a cloud. The agent is functions.agent:agent without a model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from skyfleet.signing import Keys, sign

# One id for all cases, so that the ids derived from it are known.
REQUEST_ID: Final = "contract-case"
LIMIT: Final = 6 * 1024 * 1024
JSON: Final = {"content-type": "application/json"}
EVENTS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One request and its expected reply.

    target: path and query as on the wire, percent-encoded.
    signed: sign the request; otherwise only `headers` are sent.
    reply: the exact body with `created` set to 0, or None for any body. mentions: texts in the body.
    first_before_last_s: the least time between the first and the last chunk, in seconds.
    """

    name: str
    method: str
    target: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    signed: bool = True
    reply: bytes | None = None
    reply_headers: Mapping[str, str] = field(default_factory=lambda: dict(JSON))
    mentions: tuple[str, ...] = ()
    first_before_last_s: float = 0.0

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> bytes:
        return self.target.partition("?")[2].encode()

    def request_headers(self, keys: Keys, *, now: float, nonce: str) -> list[tuple[bytes, bytes]]:
        """All headers to send, with the signature. now: unix seconds; nonce: 32 hex digits, fresh."""
        given = {"x-request-id": REQUEST_ID, **self.headers}
        if self.body and "content-type" not in given:
            given["content-type"] = "application/json"
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        if not self.signed:
            return pairs
        signature = sign(keys, self.method, self.path, self.query, self.body, now=now, nonce=nonce)
        return [*pairs, *signature]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _step(name: str, given: object, output: object) -> dict[str, object]:
    return {"name": name, "input": given, "output": output}


def _plan(text: str, *steps: tuple[str, str]) -> dict[str, object]:
    return _step("plan", text, [{"do": do, "for": clause} for do, clause in steps])


def _event(name: str, value: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + _json(value) + b"\n\n"


def _words(text: str) -> bytes:
    return b"".join(_event("delta", {"text": word}) for word in re.findall(r"\s*\S+", text))


CHAT_ID: Final = "chatcmpl-6571f712b26b2bd70c49aad0"


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    head = {"id": CHAT_ID, "object": "chat.completion.chunk", "created": 0, "model": "skyfleet"}
    return b"data: " + _json({**head, "choices": [choice]}) + b"\n\n"


CHAIN: Final = "compute 12*(3+4) then reverse the result"
CHAIN_STEPS: Final = [
    _plan(CHAIN, ("arithmetic", "compute 12*(3+4)"), ("text", "reverse the result")),
    _step("arithmetic", {"expression": "12*(3+4)"}, "84"),
    _step("text", {"operation": "reverse", "text": "84"}, "48"),
]
WAIT: Final = "wait 0.4 seconds"
WAIT_STEPS: Final = [_plan(WAIT, ("wait", WAIT)), _step("wait", {"seconds": 0.4}, "0.4")]
WAITED: Final = "I waited 0.4 seconds."
LONG: Final = "word " * 19_000
NAME_STEPS: Final = [
    _plan("what is my name?", ("memory", "what is my name?")),
    _step("memory", {"about": "name"}, "Ada"),
]


def _ask(text: str, **more: object) -> bytes:
    return _json({"input": text, **more})


def _chat(text: str, **more: object) -> bytes:
    return _json({"model": "any", "messages": [{"role": "user", "content": text}], **more})


def _completion(text: str, prompt: int, completion: int) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": CHAT_ID, "object": "chat.completion", "created": 0, "model": "skyfleet"}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return _json({**head, "choices": [choice], "usage": usage})


def _error(code: str, message: str) -> bytes:
    error = {"code": code, "message": message, "type": "invalid_request_error", "param": None}
    return _json({"error": error})


ENDPOINTS: Final = (
    "GET /health, POST /invoke, POST /v1/chat/completions, GET /v1/models, GET /v1/models/skyfleet"
)
CHALLENGE: Final = {"www-authenticate": 'Skyfleet-Signature realm="skyfleet"'}
UNAUTHORIZED: Final = _error(
    "unauthorized",
    "This endpoint only takes requests signed by its router. "
    "Call the router's URL, or sign the request with a current key and clock.",
)

CASES: Final[tuple[Case, ...]] = (
    # whole replies
    Case(
        "a chain of tools",
        "POST",
        "/invoke",
        200,
        body=_ask(CHAIN),
        reply=_json({"output": "12*(3+4) = 84.\nReversed: 48", "steps": CHAIN_STEPS}),
    ),
    Case(
        "memory of the messages",
        "POST",
        "/invoke",
        200,
        body=_json(
            {
                "messages": [
                    {"role": "user", "content": "my name is Ada"},
                    {"role": "assistant", "content": "Hello Ada"},
                    {"role": "user", "content": "what is my name?"},
                ]
            }
        ),
        reply=_json({"output": "Your name is Ada.", "steps": NAME_STEPS}),
    ),
    Case(
        "text beyond ASCII",
        "POST",
        "/invoke",
        200,
        body=_ask('reverse "äöü €𝛑"'),
        mentions=("Reversed: 𝛑€ üöä",),
    ),
    Case(
        "a reply of 200 kB",
        "POST",
        "/invoke",
        200,
        body=_ask(f'uppercase "{LONG}"'),
        mentions=(f"In capitals: {LONG.upper()}",),
    ),
    Case(
        "a query is part of what is signed",
        "POST",
        "/invoke?a=%20b&c=%2F&d",
        200,
        body=_ask("6*7"),
        mentions=("6*7 = 42.",),
    ),
    Case(
        "chat completion",
        "POST",
        "/v1/chat/completions",
        200,
        body=_chat("reverse abc"),
        reply=_completion("Reversed: cba", 3, 4),
    ),
    Case(
        "cut chat completion",
        "POST",
        "/v1/chat/completions",
        200,
        body=_chat("reverse abc", max_tokens=2),
        mentions=('"content":"Reversed"', '"finish_reason":"length"'),
    ),
    Case(
        "refused parameter",
        "POST",
        "/v1/chat/completions",
        400,
        body=_chat("reverse abc", logprobs=True),
        mentions=('"code":"unsupported_parameter"', '"param":"logprobs"', '"type":"invalid_request_error"'),
    ),
    Case("model", "GET", "/v1/models/skyfleet", 200, mentions=('"id":"skyfleet"', '"object":"model"')),
    Case("models", "GET", "/v1/models", 200, mentions=('"id":"skyfleet"', '"object":"list"')),
    Case("head of models", "HEAD", "/v1/models", 200, reply=b""),
    Case(
        "health is open",
        "GET",
        "/health",
        200,
        signed=False,
        reply_headers={**JSON, "cache-control": "no-store"},
        mentions=('"status":"ok"', '"build":"', '"repeatable":true', '"inflight":'),
    ),
    # streams
    Case(
        "stream of events",
        "POST",
        "/invoke",
        200,
        body=_ask(WAIT, stream=True),
        reply_headers=EVENTS,
        reply=b"".join(_event("step", step) for step in WAIT_STEPS)
        + _words(WAITED)
        + _event("done", {"output": WAITED, "steps": WAIT_STEPS}),
        first_before_last_s=0.3,
    ),
    Case(
        "stream because of accept",
        "POST",
        "/invoke",
        200,
        body=_ask("reverse abc"),
        headers={"accept": "text/event-stream"},
        reply_headers=EVENTS,
        mentions=("event: done\n",),
    ),
    Case(
        "chat completion stream",
        "POST",
        "/v1/chat/completions",
        200,
        body=_chat(WAIT, stream=True),
        reply_headers=EVENTS,
        reply=_chunk({"role": "assistant", "content": ""})
        + b"".join(_chunk({"content": word}) for word in re.findall(r"\s*\S+", WAITED))
        + _chunk({}, "stop")
        + b"data: [DONE]\n\n",
        first_before_last_s=0.3,
    ),
    # client errors
    Case(
        "json cut off",
        "POST",
        "/invoke",
        400,
        body=b'{"input": ',
        reply=_error(
            "bad-json", "The body is not JSON: Expecting value at line 1, column 11 (character 10)."
        ),
    ),
    Case(
        "not UTF-8",
        "POST",
        "/invoke",
        400,
        body=b"\xff\xfe",
        reply=_error("bad-json", "The body is not JSON: byte 0 is not UTF-8."),
    ),
    Case("empty body", "POST", "/invoke", 400, mentions=("bad-json", "empty")),
    Case("wrong field", "POST", "/invoke", 400, body=b'{"inputs": "x"}', mentions=("bad-request", "inputs")),
    Case(
        "wrong role",
        "POST",
        "/v1/chat/completions",
        400,
        body=b'{"messages": [{"role": "robot", "content": "x"}]}',
        mentions=("messages[0].role", "robot"),
    ),
    Case(
        "unknown path",
        "POST",
        "/caf%C3%A9/x",
        404,
        body=b"{}",
        reply=_error("not-found", f"There is no '/café/x' here. There is: {ENDPOINTS}."),
    ),
    Case("the root", "GET", "/", 404, mentions=("/invoke",)),
    # The application in which Azure's extension runs a handler has these paths of its own.
    *(Case(path, "GET", path, 404, mentions=("/invoke",)) for path in ("/docs", "/redoc", "/openapi.json")),
    Case(
        "wrong method",
        "DELETE",
        "/invoke",
        405,
        reply_headers={**JSON, "allow": "POST"},
        reply=_error("method-not-allowed", "/invoke does not take DELETE. Use POST."),
    ),
    Case("too large", "POST", "/invoke", 413, body=b" " * (LIMIT + 1), mentions=("6291456",)),
    # unauthorized requests
    Case(
        "no signature",
        "POST",
        "/invoke",
        401,
        body=_ask("6*7"),
        signed=False,
        reply=UNAUTHORIZED,
        reply_headers=JSON | CHALLENGE,
    ),
    Case(
        "made-up signature",
        "POST",
        "/invoke",
        401,
        body=_ask("6*7"),
        signed=False,
        headers={
            "x-skyfleet-key-id": "k1",
            "x-skyfleet-timestamp": "1700000000",
            "x-skyfleet-nonce": "0" * 32,
            "x-skyfleet-signature": "0" * 64,
        },
        reply=UNAUTHORIZED,
        reply_headers=JSON | CHALLENGE,
    ),
)
