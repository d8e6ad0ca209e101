"""Property values as the engine sends them: plain JSON plus a few marked objects.

Only this module knows the wire formats (protobuf Struct, sentinels). Integral numbers become `int`: protobuf
has
only doubles, while SDKs and clouds write 512, not 512.0. The constants are those of Pulumi's wire protocol
(pulumi/runtime/rpc.py of the SDK).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict

Json = Any  # one value: None, bool, int, float, str, list or object of these
Properties = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's public marker

DEFAULTS = "__defaults"  # names of the inputs that the provider, not the program, filled in


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """Reads properties; wrapped secrets are unwrapped (the engine is asked not to send them)."""
    return cast("Properties", _plain(MessageToDict(struct)))


def to_struct(properties: Mapping[str, Json]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(dict(properties))
    return struct


def _plain(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Json]", value)]
    if isinstance(value, dict):
        fields = cast("Properties", value)
        if fields.get(SIGNATURE) == SECRET:
            return _plain(fields.get("value"))
        return {name: _plain(item) for name, item in fields.items()}
    return value


def is_unknown(value: Json) -> bool:
    return value == UNKNOWN


def has_unknown(value: Json) -> bool:
    """Whether a part of `value` is known only after other resources exist."""
    return any(is_unknown(leaf) for leaf in leaves(value))


def leaves(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        for item in cast("Properties", value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[Json]", value):
            yield from leaves(item)
    else:
        yield value


def is_marked(value: Json, *signatures: str) -> bool:
    """Whether `value` is an asset or archive (by the signatures given)."""
    return isinstance(value, dict) and cast("Properties", value).get(SIGNATURE) in signatures


def at(value: Json, *path: str | int) -> Json:
    """The value at `path`, or None when a step is missing, unknown or of another shape."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = cast("Properties", value).get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(cast("list[Json]", value)):
            value = cast("list[Json]", value)[step]
        else:
            return None
    return value


def text(value: Json, *path: str | int) -> str:
    """The known text at `path`, else the empty string."""
    found = at(value, *path)
    return found if isinstance(found, str) and not is_unknown(found) else ""


def number(value: Json, *path: str | int, default: float = 0) -> float:
    found = at(value, *path)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else default


def fields(value: Json, *path: str | int) -> Properties:
    """The object at `path`, else an empty one."""
    found = at(value, *path)
    return cast("Properties", found) if isinstance(found, dict) else {}


def items(value: Json, *path: str | int) -> list[Json]:
    """The list at `path`; a lone value counts as a list of one, as policy documents allow."""
    found = at(value, *path)
    if found is None:
        return []
    return cast("list[Json]", found) if isinstance(found, list) else [found]


def document(value: Json) -> Properties | None:
    """A JSON document given as text or as an object; None when it is neither."""
    if isinstance(value, dict):
        return cast("Properties", value)
    if not isinstance(value, str):
        return None
    try:
        loaded: Json = json.loads(value)
    except ValueError:
        return None
    return cast("Properties", loaded) if isinstance(loaded, dict) else None


def program_inputs(properties: Mapping[str, Json]) -> Properties:
    """The inputs without the provider's own entries and without nulls."""
    return {k: v for k, v in properties.items() if not k.startswith("__") and v is not None}
