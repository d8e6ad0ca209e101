"""Requests of the API as typed values, read strictly: an unknown field is refused with the nearest known one.

- pydantic checks the types and makes the schemas of the OpenAPI document from the same classes.
- A number is a JSON number and a flag a JSON boolean; nothing is converted. A key may stand once (RFC 8259,
  section 4, leaves open what two mean), NaN and Infinity are no JSON, and one half of a surrogate pair is no
  text (section 8.2).
- What a cloud permits is decided by the stack config's own rules, when the job is submitted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from infra.manager.errors import BadRequest, SlowRequest, TooLarge, Unsupported
from infra.manager.jobs.model import Change
from infra.operations.suggest import suggestion
from skyfleet.contract import Strategy

# The longest sensible body has about 200 bytes.
MOST_BYTES: Final = 16 * 1024
# A body comes with its head from all clients but a hostile one.
ARRIVAL_S: Final = 10.0

STRATEGIES: Final = (*Strategy, "configured")

CloudName = Literal["aws", "azure", "gcp"]
CLOUDS: Final[tuple[str, ...]] = get_args(CloudName)
# An example of each field with a pattern, and what is expected by the type of pydantic's error.
_FORMS: Final = {"region": "us-east-1", "target": "aws/us-east-1", "version": "3f0c9a7be215"}
_TYPES: Final = {
    "bool_type": "expected true or false",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "string_type": "expected a string",
}
Region = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$", description="A region of the cloud.")]
TargetKey = Annotated[
    str, Field(pattern=r"^(aws|azure|gcp)/[a-z][a-z0-9-]{1,39}$", description="`cloud/region`.")
]
Version = Annotated[
    str,
    Field(
        pattern=r"^([0-9a-f]{12})?$",
        description="The version of the desired state that the operator saw; refused with 409 when it is "
        "another one by now. Empty: any.",
    ),
]


def _whole(value: object) -> object:
    """276.0 is an integer in JSON Schema (2020-12, validation, section 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Bounds stand beside the type, so that they get into the schema.
Instances = Annotated[int, Field(ge=0, le=1000), BeforeValidator(_whole)]
AtLeastOne = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]
Megabytes = Annotated[int, Field(ge=128, le=32768), BeforeValidator(_whole)]


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class CreateResource(Body):
    """A target to add, or new numbers for one that is there."""

    cloud: CloudName
    region: Region
    weight: float | None = Field(None, ge=0, description="Share of requests relative to the other targets.")
    min_instances: Instances | None = Field(None, alias="minInstances")
    max_instances: AtLeastOne | None = Field(None, alias="maxInstances")
    memory_mb: Megabytes | None = Field(None, alias="memoryMb")
    concurrency: AtLeastOne | None = Field(None, description="Requests at once in one instance.")
    version: Version = ""

    def change(self, *, preview: bool) -> Change:
        """The change that this asks for."""
        named = self.model_dump(by_alias=True, exclude_none=True, exclude={"cloud", "region", "version"})
        options = cast("Mapping[str, float]", named)
        return Change("create", self.cloud, self.region, options, version=self.version, preview=preview)


class DeleteResource(Body):
    """A target to drain and remove."""

    cloud: CloudName
    region: Region
    force: bool = Field(False, description="Also a target with a router; do not wait for a silent one.")
    version: Version = ""

    def change(self, *, preview: bool) -> Change:
        """The change that this asks for."""
        return Change(
            "delete", self.cloud, self.region, force=self.force, version=self.version, preview=preview
        )


class SetStrategy(Body):
    """The strategy of all routers, or `configured` for that of the stack config."""

    name: str = Field(json_schema_extra={"enum": list(STRATEGIES)})


class DrainTarget(Body):
    """A target that is to get no new requests, or to get them again."""

    target: TargetKey
    undo: bool = False
    force: bool = Field(False, description="Also the last target that does not drain.")


Model = TypeVar("Model", bound=Body)


async def read(request: Request, model: type[Model]) -> Model:
    """The body of a request. Raises BadRequest, Unsupported, TooLarge, SlowRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        found = media_type[:60] or "none"
        raise Unsupported(
            f"The Content-Type is {found}; expected application/json.", accept="application/json"
        )
    return parse(await content(request), model)


async def content(request: Request) -> bytes:
    """The bytes of a body. Raises TooLarge, SlowRequest, BadRequest."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise _too_large(declared)
    received = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL_S):
            async for chunk in request.stream():
                received += chunk
                if len(received) > MOST_BYTES:
                    raise _too_large(f"more than {MOST_BYTES}")
    except TimeoutError:
        raise SlowRequest(f"The body did not arrive within {ARRIVAL_S:.0f} s.") from None
    except ClientDisconnect:
        raise BadRequest("The client left before its body was complete.") from None
    return bytes(received)


def _too_large(found: str) -> TooLarge:
    return TooLarge(f"The body has {found[:20]} bytes; at most {MOST_BYTES} are read.", limit=MOST_BYTES)


def parse(content: bytes, model: type[Model]) -> Model:
    """The typed value of a JSON body. Raises BadRequest with every mistake."""
    value = _json(content)
    if not isinstance(value, dict):
        raise BadRequest(f"The body is {_kind(value)}; expected a JSON object.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        known = [field.alias or name for name, field in model.model_fields.items()]
        raise mistakes(error.errors(include_url=False, include_context=True), known) from None


def mistakes(errors: Sequence[ErrorDetails], known: Sequence[str]) -> BadRequest:
    """One BadRequest for all mistakes; each has a JSON pointer (RFC 6901) and a sentence."""
    told: list[dict[str, str]] = []
    for error in errors:
        name = str(error["loc"][0]) if error["loc"] else ""
        pointer = "/" + name[:60].replace("~", "~0").replace("/", "~1")
        told.append({"pointer": pointer, "detail": _sentence(error, name[:60], known)})
    return BadRequest(" ".join(one["detail"] for one in told[:5]), errors=told[:20], known=list(known))


def _sentence(error: ErrorDetails, name: str, known: Sequence[str]) -> str:
    if error["type"] == "extra_forbidden":
        return f"{name}: unknown field.{suggestion(name, known)} Known: {', '.join(known)}."
    if error["type"] == "missing":
        return f"{name}: missing."
    hint = suggestion(str(error["input"])[:60], CLOUDS) if error["type"] == "literal_error" else ""
    return f"{name}: got {_shown(error['input'])}; {_expectation(error, name)}.{hint}"


def _expectation(error: ErrorDetails, name: str) -> str:
    """What a value should be, in the words of the other messages; of a rare kind in pydantic's own."""
    limits = error.get("ctx", {})
    match error["type"]:
        case "greater_than_equal":
            return f"expected at least {limits['ge']:g}"
        case "less_than_equal":
            return f"expected at most {limits['le']:g}"
        case "literal_error":
            return f"expected one of {', '.join(CLOUDS)}"
        case "string_pattern_mismatch":
            return f"expected a form such as {_FORMS[name]}"
        case kind:
            return _TYPES.get(kind, error["msg"][:1].lower() + error["msg"][1:])


def _json(content: bytes) -> object:
    try:
        value = cast("object", json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_refuse))
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise BadRequest("The body has one half of a surrogate pair, which is no character.") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not JSON: {error.msg} ({place}).") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"{twice[0][:60]!r} stands in it twice")
    return dict(pairs)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON number")


def _kind(value: object) -> str:
    names = {"list": "an array", "str": "a string", "bool": "a boolean", "NoneType": "null"}
    return names.get(type(value).__name__, "a number")


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def only_parameters(request: Request, *known: str) -> None:
    """Refuse any other query parameter: it may be one that the client relies on, such as `preview`.

    Raises BadRequest.
    """
    for other in request.query_params:
        if other not in known:
            named = f"{suggestion(other[:60], known)} Known: {', '.join(known) or 'none'}."
            raise BadRequest(f"{other[:60]}: unknown parameter.{named}", known=list(known))


def flag(request: Request, name: str) -> bool:
    """A query parameter that is `true` or `false`. Raises BadRequest."""
    values = request.query_params.getlist(name)
    if values in ([], ["false"]):
        return False
    if values == ["true"]:
        return True
    raise BadRequest(f"{name}: got {', '.join(values)[:60]!r}; expected true or false, once.")
