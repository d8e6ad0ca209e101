"""The parameters of chat completions that the default agent takes: honoured, passed to the model, or refused.

Rules
- No parameter is ignored in silence: one that would change the answer and is not honoured is 400
  `unsupported_parameter` with its name in `param`. `model` is the exception: there is one model.
- With a model every parameter of OpenAI's API is passed on, except those for audio. A request that brings
  `tools` of its own is answered with them, and the agent's tools are not offered.
- Without a model the answer follows from rules. Parameters of sampling have nothing to change there, nor have
  those that only name or route a request (`NO_EFFECT`).
- A request with `messages` may have no other field. With `input`, fields of other names are the client's own.

The names are those of openai-python, types/chat/completion_create_params.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from functions.errors import BadRequest, UnsupportedParameter

# Read by the endpoints.
_READ: Final = frozenset({"messages", "input", "model", "stream", "stream_options", "n"})
NO_EFFECT: Final = frozenset(
    {
        *("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"),
        *("user", "safety_identifier", "metadata", "prediction", "parallel_tool_calls"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)
_FOR_THE_MODEL: Final = NO_EFFECT | {
    *("max_tokens", "max_completion_tokens", "stop", "response_format", "logit_bias", "logprobs"),
    *("top_logprobs", "tools", "tool_choice", "functions", "function_call", "reasoning_effort"),
    *("verbosity", "service_tier", "store", "web_search_options", "moderation"),
}
_KNOWN: Final = _READ | _FOR_THE_MODEL | {"audio", "modalities"}
# Values that ask for what happens without the parameter.
_DEFAULTS: Final[Mapping[str, tuple[object, ...]]] = {
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("auto", "none"),
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
}
_STREAM_OPTIONS: Final[Mapping[str, tuple[object, ...]]] = {
    "include_usage": (True, False),
    "include_obfuscation": (False,),
}
# OpenAI's limit.
_MOST_STOPS: Final = 4


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How the answer without a model is to be.

    max_tokens: None: no limit. stops: the answer ends before the first of them. as_json: as an object."""

    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    as_json: bool = False


def for_the_model(body: Mapping[str, object], n: int = 1) -> dict[str, object]:
    """The parameters to pass on. n: the answers that the endpoint gives.

    Raises UnsupportedParameter or BadRequest.
    """
    given = _given(body, n)
    chosen = {name: value for name, value in given.items() if name in _FOR_THE_MODEL}
    for name in given.keys() - chosen.keys():
        if given[name] not in _DEFAULTS.get(name, ()):
            raise _unsupported(name, "audio")
    own = chosen.keys() & {"tools", "functions"}
    for name in ("tool_choice", "function_call"):
        if name in chosen and not own and chosen[name] not in _DEFAULTS[name]:
            raise BadRequest(f"{name} is only allowed with tools of the request. Leave it out.", name)
    return chosen


def without_a_model(body: Mapping[str, object], n: int = 1) -> TextOptions:
    """The options of the answer. n: the answers that the endpoint gives.

    Raises UnsupportedParameter or BadRequest.
    """
    given = _given(body, n)
    limits = [_count(given[name], name) for name in ("max_tokens", "max_completion_tokens") if name in given]
    stops, as_json = _stops(given.get("stop")), False
    for name, value in given.items():
        if name == "response_format":
            as_json = _is_json(value)
        elif name not in (*NO_EFFECT, "max_tokens", "max_completion_tokens", "stop") and value not in (
            _DEFAULTS.get(name, ())
        ):
            raise _unsupported(name, "this value, since it answers without a model")
    return TextOptions(min(limits, default=None), stops, as_json)


def _given(body: Mapping[str, object], n: int) -> dict[str, object]:
    """The parameters with a value that the endpoints do not read."""
    if body.get("n") not in (None, n):  # only chat completions read it
        raise BadRequest("n is for /v1/chat/completions; /invoke gives one answer.", "n")
    options = body.get("stream_options")
    if options is not None:
        if not isinstance(options, Mapping):
            raise BadRequest("stream_options is no object.", "stream_options")
        for name, value in cast("Mapping[str, object]", options).items():
            if value is not None and value not in _STREAM_OPTIONS.get(name, ()):
                raise _unsupported(f"stream_options.{name[:40]}", "this value")
    given = {name: value for name, value in body.items() if value is not None and name not in _READ}
    for name in sorted(given.keys() - _KNOWN):
        if "messages" in body:
            raise _unsupported(name[:80], "it")
        del given[name]
    return given


def _unsupported(name: str, what: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"{name} is not supported: this agent does not know {what}. Leave it out.", name
    )


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"{name} is {str(value)[:20]!r}, expected a whole number from 1.", name)
    return value


def _stops(value: object) -> tuple[str, ...]:
    values = cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value]
    texts = tuple(text for text in values if isinstance(text, str) and text)
    if len(texts) != len(values) or len(texts) > _MOST_STOPS:
        raise BadRequest(f"stop is no text and no list of at most {_MOST_STOPS} texts.", "stop")
    return texts


def _is_json(value: object) -> bool:
    kind = cast("Mapping[str, object]", value).get("type") if isinstance(value, Mapping) else None
    if kind not in ("text", "json_object"):
        message = "response_format is neither text nor json_object, which is all that this agent knows."
        raise UnsupportedParameter(message, "response_format")
    return kind == "json_object"
