"""docs/reference/manager.json and manager.md: the manager's API, from its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from infra.manager import openapi
from tools.reference.text import code, table

PATH: Final = "docs/reference/manager.json"


def text() -> str:
    """The document as a file."""
    return json.dumps(openapi.document(), indent=1) + "\n"


def page() -> str:
    """Each operation with its parameters, body and replies, then the schemas."""
    document = openapi.document()
    operations = [
        "\n".join(_operation(method.upper(), path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        "\n".join(_schema(name, schema))
        for name, schema in document["components"]["schemas"].items()
        if schema.get("properties") or schema.get("enum")
    ]
    problems = table(["status", "meaning"], openapi.PROBLEMS.items())
    parts = ["## Operations", *operations, "## Problems", problems, "## Bodies and replies", *schemas]
    return "\n\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {code(f'{method} {path}')}"
    yield ""
    yield operation["summary"]
    yield ""
    rows = [
        [code(one["name"]), one["in"], _type(one["schema"]), one.get("description", "")]
        for one in operation.get("parameters", [])
    ]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        rows.append(["body", "", _type(schema), "required"])
    if rows:
        yield table(["parameter", "in", "value", "meaning"], rows)
        yield ""
    responses = operation["responses"]
    replies = [
        [status, _content(reply), reply["description"]]
        for status, reply in responses.items()
        if status not in openapi.PROBLEMS
    ]
    yield table(["status", "content", "meaning"], replies)
    yield ""
    yield f"[Problems](#problems): {', '.join(status for status in responses if status in openapi.PROBLEMS)}."


def _content(reply: dict[str, Any]) -> str:
    for media_type, content in reply.get("content", {}).items():
        if media_type == "text/event-stream":
            return "event stream"
        return _type(content["schema"])
    return "-"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if described := " ".join(schema.get("description", "").split()):
        yield described
        yield ""
    if "enum" in schema:
        yield _type(schema)
        return
    required = schema.get("required", [])
    rows = [
        [code(field), _type(value), "required" if field in required else _default(value), _told(value)]
        for field, value in schema["properties"].items()
    ]
    yield table(["field", "value", "default", "meaning"], rows)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(code(str(one)) for one in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [
        f"{word} {schema[key]:g}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    pattern = [f"like {code(schema['pattern'])}"] if "pattern" in schema else []
    return " ".join([schema.get("type", "any"), *bounds, *pattern])


def _default(schema: dict[str, Any]) -> str:
    if "default" not in schema or schema["default"] is None:
        return "-"
    return code(json.dumps(schema["default"]))


def _told(schema: dict[str, Any]) -> str:
    return schema.get("description", "")
