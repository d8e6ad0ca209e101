"""What the answers of a model mean for the client: which part they concern, and whether another cloud helps.

    DependencyFailed                 all clouds share the model, so no other cloud is tried
    ├── ModelFailed      502 model-failed         it failed: a 5xx, a broken answer, no chat completion
    ├── ModelSilent      504 model-silent         it did not answer in time: 408, 504, no data
    ├── ModelBusy        503 model-busy           it is overloaded: 503, 529
    ├── ModelLimited     429 rate_limit_exceeded  the model's key is over its limit or quota
    ├── ModelRefused     400 model-refused        it refuses this request: 400, 413, 422, 451 as they are
    └── ModelMisused     502 model-misused        the key, model or URL is wrong: other 3xx, 4xx
    ModelUnreachable     503 model-unreachable    no connection from this cloud: another cloud may have one

Rules
- `type`, `param`, `code` and the Retry-After of the endpoint are passed on. The shape is OpenAI's object
  (openai-python, types/shared/error_object.py). A list of one (Google) and an object without `error` (vLLM,
  FastAPI) are read too.
- The endpoint's text is passed on only where it concerns the request, without the key: the text of a 401 or
  429 may name the operator's key or organisation.
- A 401 of the model is no 401 of the client: its key is right. Repeating such a request does not help.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from functions.errors import DependencyFailed, FunctionError

# The request itself is refused; all other 3xx and 4xx concern the deployment.
_OF_THE_REQUEST: Final = frozenset({400, 413, 422, 451})
# Anthropic's API says 529 when it is overloaded.
_BUSY: Final = frozenset({503, 529})
_SILENT: Final = frozenset({408, 504})
# Codes of a 400 that concern the deployment: OpenAI, Azure OpenAI, Google.
_OF_THE_DEPLOYMENT: Final = frozenset(
    {"invalid_api_key", "model_not_found", "DeploymentNotFound", "API_KEY_INVALID"}
)
# OpenAI's 429 for a used-up quota, which no waiting changes.
_NO_QUOTA: Final = "insufficient_quota"
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
# RFC 9110, section 10.2.3: whole seconds or a date. The second field is what the official SDKs read first.
_WAITS: Final = {
    "retry-after": re.compile(r"\d{1,9}|[A-Z][a-z]{2}, [\w :]{20} GMT", re.ASCII),
    "retry-after-ms": re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII),
}
_LONGEST_TEXT: Final = 1_000
_HINTS: Final = {
    401: "Check MODEL_API_KEY.",
    402: "Its account has no credit left.",
    403: "Check MODEL_API_KEY and what it may use.",
    404: "Check MODEL_BASE_URL and MODEL_NAME.",
}


class ModelFailed(DependencyFailed):
    """The model behind the agent did not answer as it should."""

    code = "model-failed"


class ModelSilent(DependencyFailed):
    """The model did not answer in time."""

    status = 504
    code = "model-silent"


class ModelBusy(DependencyFailed):
    """The model is overloaded."""

    status = 503
    code = "model-busy"


class ModelLimited(DependencyFailed):
    """The deployment's key is over its rate limit or quota at the model."""

    status = 429
    code = "rate_limit_exceeded"


class ModelRefused(DependencyFailed):
    """The model refuses this request, e.g. one that is longer than its context."""

    status = 400
    code = "model-refused"


class ModelMisused(DependencyFailed):
    """The deployment's key, model name or URL is wrong at the model."""

    code = "model-misused"
    may_repeat = False


class ModelUnreachable(FunctionError):
    """This cloud has no connection to the model."""

    status = 503
    code = "model-unreachable"


@dataclass(frozen=True, slots=True)
class Said:
    """What an error of an endpoint says. code: also of the kind that Google calls reason. status: in place of
    a code, as some gateways send it within a stream."""

    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | None = None
    status: int | None = None


def said(body: object) -> Said:
    """Read an error object in one of the known shapes; empty for anything else."""
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    if not isinstance(body, dict):
        return Said()
    outer = cast("dict[str, object]", body)
    inner = outer.get("error", outer)
    if isinstance(inner, str):
        return Said(inner)
    if not isinstance(inner, dict):
        return Said()
    error = cast("dict[str, object]", inner)
    message, code = error.get("message", error.get("detail")), error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    if '"API_KEY_INVALID"' in json.dumps(error.get("details")):
        code = "API_KEY_INVALID"
    return Said(
        message if isinstance(message, str) else "",
        _identifier(error.get("type")),
        _identifier(error.get("param")),
        _identifier(code),
        status,
    )


def decoded(body: bytes) -> object:
    """The JSON value of a body; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def of_status(
    host: str, status: int, headers: Mapping[str, str], error: Said, key: str | None
) -> DependencyFailed:
    """The failure that an answer with a status other than 200 means.

    host: of the model, for the message. headers: of the answer, by lower-case names. key: removed from the
    text."""
    found = f"The model at {host} answered with status {status}"
    if status in _OF_THE_REQUEST and error.code not in _OF_THE_DEPLOYMENT:
        return _refused(found, status, error, key)
    failure: DependencyFailed
    if status == 429:
        failure = _limited(found, error)
    elif status in _SILENT:
        failure = ModelSilent(f"{found}: it took too long.")
    elif status in _BUSY:
        failure = ModelBusy(f"{found}: it is overloaded.", type=error.type)
    elif status >= 500 or status < 300:
        failure = ModelFailed(f"{found}.", type=error.type)
    else:
        hint = _HINTS.get(status, "Check that MODEL_BASE_URL serves the chat completions API.")
        return ModelMisused(f"{found}. {hint}")
    failure.fields = [
        (name.encode(), headers[name].encode())
        for name, form in _WAITS.items()
        if form.fullmatch(headers.get(name, ""))
    ]
    return failure


def _refused(found: str, status: int, error: Said, key: str | None) -> ModelRefused:
    text = error.message.replace(key, "[key]") if key else error.message
    message = f"{found}: {text[:_LONGEST_TEXT]}" if text else f"{found} and gave no reason."
    return ModelRefused(message, status=status, code=error.code, type=error.type, param=error.param)


def _limited(found: str, error: Said) -> ModelLimited:
    quota = _NO_QUOTA in (error.code, error.type)
    hint = "The quota of its key is used up." if quota else "It is over its rate limit; try again later."
    may_repeat = False if quota else None
    return ModelLimited(f"{found}. {hint}", code=error.code, type=error.type, may_repeat=may_repeat)


def in_stream(host: str, error: Said, key: str | None) -> DependencyFailed:
    """The failure that an error within a stream means."""
    if error.status is not None:
        return of_status(host, error.status, {}, error, key)
    found = f"The model at {host} reported an error in the middle of its answer."
    return ModelFailed(found, type=error.type, code=error.code, param=error.param)


def _identifier(value: object) -> str | None:
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None
