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
- An error within an answer of status 200, plain or in a stream, is classified by its status, else its code,
  else its type: what concerns the request is 400 there too.
- `x-should-retry` of the endpoint is passed on, which OpenAI's SDKs obey (openai-python, _base_client.py).
- A Retry-After that is no form of RFC 9110, section 10.2.3, such as a fraction, is written as one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import Final, cast

from functions.errors import DependencyFailed, FunctionError
from skyfleet.asgi import Header

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
# The SDKs of OpenAI repeat after these, as after a 5xx (openai-python, _base_client.py); 425: RFC 8470.
_PASSING: Final = frozenset({409, 425})
# The statuses that OpenAI's and Anthropic's APIs have for codes and types of errors
# (https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors), and vLLM.
_STATUSES: Final[Mapping[str, int]] = {
    "context_length_exceeded": 400,
    "content_filter": 400,
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
}
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
# What the official SDKs read first.
_MILLISECONDS: Final = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
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


def is_error(value: Mapping[str, object]) -> bool:
    """Whether a JSON object in place of an answer or a chunk is an error; vLLM's has no `error` member."""
    return bool(value.get("error")) or value.get("object") == "error"


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
    failure = _failure(f"The model at {host} answered with status {status}", status, error, key)
    if not isinstance(failure, ModelRefused | ModelMisused):
        failure.fields = _waits(headers)
        repeat = headers.get("x-should-retry")
        if failure.may_repeat is None and repeat in ("true", "false"):
            failure.may_repeat = repeat == "true"
    return failure


def within_answer(host: str, error: Said, key: str | None) -> DependencyFailed:
    """The failure that an error within an answer of status 200 means."""
    found = f"The model at {host} reported an error in its answer"
    status = error.status
    if error.code in _OF_THE_DEPLOYMENT:
        status = 401
    status = status or _STATUSES.get(error.code or "") or _STATUSES.get(error.type or "")
    if status is not None:
        return _failure(found, status, error, key)
    return ModelFailed(f"{found}.", type=error.type, code=error.code, param=error.param)


def _failure(found: str, status: int, error: Said, key: str | None) -> DependencyFailed:
    if status in _OF_THE_REQUEST and error.code not in _OF_THE_DEPLOYMENT:
        return _refused(found, status, error, key)
    if status == 429:
        return _limited(found, error)
    if status in _SILENT:
        return ModelSilent(f"{found}: it took too long.")
    if status in _BUSY:
        return ModelBusy(f"{found}: it is overloaded.", type=error.type)
    if status >= 500 or status < 300 or status in _PASSING:
        return ModelFailed(f"{found}.", type=error.type)
    hint = _HINTS.get(status, "Check that MODEL_BASE_URL serves the chat completions API.")
    return ModelMisused(f"{found}. {hint}")


def _waits(headers: Mapping[str, str]) -> list[Header]:
    """The fields that say when a repeat may succeed."""
    after, in_ms = headers.get("retry-after", ""), headers.get("retry-after-ms", "")
    if _SECONDS.fullmatch(after):
        after = str(math.ceil(float(after)))
    else:
        try:
            date = parsedate_tz(after)
            after = "" if date is None else formatdate(mktime_tz(date), usegmt=True)
        except (ValueError, OverflowError, OSError):  # a year that no calendar has
            after = ""
    fields = [(b"retry-after", after.encode())] if after else []
    if _MILLISECONDS.fullmatch(in_ms):
        fields.append((b"retry-after-ms", in_ms.encode()))
    return fields


def _refused(found: str, status: int, error: Said, key: str | None) -> ModelRefused:
    text = error.message.replace(key, "[key]") if key else error.message
    message = f"{found}: {text[:_LONGEST_TEXT]}" if text else f"{found} and gave no reason."
    return ModelRefused(message, status=status, code=error.code, type=error.type, param=error.param)


def _limited(found: str, error: Said) -> ModelLimited:
    quota = _NO_QUOTA in (error.code, error.type)
    hint = "The quota of its key is used up." if quota else "It is over its rate limit; try again later."
    may_repeat = False if quota else None
    return ModelLimited(f"{found}. {hint}", code=error.code, type=error.type, may_repeat=may_repeat)


def _identifier(value: object) -> str | None:
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None
