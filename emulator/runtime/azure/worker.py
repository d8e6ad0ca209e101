"""The Azure Functions Python worker without the .NET host: a child process that runs on the functions'
interpreter.

It stands alone: it imports only the standard library and Microsoft's worker library
(azure-functions-runtime),
which imports and indexes function_app.py and runs its functions.

Arguments: the app's folder, then folders for the import path, in order. Commands arrive as JSON lines on
standard input, answers leave as JSON lines on the original standard output; prints of the app go to standard
error.

    out  {"op": "ready", "uri": "http://127.0.0.1:P" or "", "functions": [{"id", "name", "bindings": [...]}]}
    out  {"op": "failed", "error": "...", "trace": "..."}         then it exits
    in   {"op": "invoke", "id", "function", "input", "http": {"method", "url", "params"} or "json": "..."}
    out  {"op": "done", "id", "ok", "error"}
HTTP bodies do not pass here: the host proxies the request itself to `uri` with the header x-ms-invocation-id.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import types
from collections.abc import Mapping
from typing import Any, BinaryIO

LINE_BYTES = 1 << 20
# Protocol buffers that the library would get; it only builds them and reads attributes.
MESSAGES = (
    "WorkerInitResponse",
    "FunctionMetadataResponse",
    "RpcFunctionMetadata",
    "WorkerMetadata",
    "RpcException",
    "RpcRetryOptions",
    "InvocationResponse",
    "TypedData",
)


class Message(types.SimpleNamespace):
    """Stands for any protocol buffer message."""


class BindingInfo(Message):
    """Directions of a binding, as in FunctionRpc.proto."""

    in_, out, inout = 0, 1, 2


class StatusResult(Message):
    """Result of a request, as in FunctionRpc.proto."""

    Failure, Success = 0, 1


class TypedData:
    """One value with its kind, read by the library through `WhichOneof`."""

    def __init__(self, kind: str, value: object) -> None:
        self._kind = kind
        setattr(self, kind, value)

    def WhichOneof(self, _: str) -> str:
        """Name of the field that is set."""
        return self._kind


def always_data(_: str) -> str:
    """`WhichOneof` of a parameter that is plain data (not shared memory)."""
    return "data"


class Worker:
    """One app, indexed, and the pipe to the host."""

    def __init__(self, runtime: Any, out: BinaryIO) -> None:  # noqa: ANN401 (an untyped library)
        self._runtime = runtime
        self._out = out
        self._running: set[asyncio.Task[None]] = set()

    def say(self, message: Mapping[str, object]) -> None:
        """One line to the host."""
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()

    async def index(self, app: str) -> bool:
        """Import and index the app, start the server of its streaming extension, report the functions to the
        host.
        """
        protos = types.SimpleNamespace(BindingInfo=BindingInfo, StatusResult=StatusResult)
        for name in MESSAGES:
            setattr(protos, name, type(name, (Message,), {}))
        self._runtime.start_threadpool_executor()
        request = Message(worker_init_request=Message(capabilities={}, function_app_directory=app))
        properties = {"host": "127.0.0.1", "protos": protos}
        answer: Any = await self._runtime.worker_init_request(Message(request=request, properties=properties))
        if answer.result.status != StatusResult.Success:
            error = answer.result.exception
            self.say({"op": "failed", "error": error.message, "trace": error.stack_trace})
            return False
        metadata: Any = await self._runtime.functions_metadata_request(None)
        found: list[Any] = metadata.function_metadata_results or []
        functions: list[dict[str, object]] = [
            {
                "id": each.function_id,
                "name": each.name,
                "bindings": [json.loads(raw) for raw in each.raw_bindings],
            }
            for each in found
        ]
        self.say({"op": "ready", "uri": answer.capabilities.get("HttpUri", ""), "functions": functions})
        return True

    async def obey(self) -> None:
        """Run commands until the host closes the pipe."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = asyncio.create_task(self._invoke(json.loads(line)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _invoke(self, command: Mapping[str, Any]) -> None:
        if "http" in command:
            http = command["http"]
            value = types.SimpleNamespace(**http, headers={}, query={}, body=TypedData("bytes", b""))
            data = TypedData("http", value)
        else:
            data = TypedData("json", command["json"])
        parameter = Message(name=command["input"], data=data, WhichOneof=always_data)
        invocation = Message(
            invocation_id=command["id"],
            function_id=command["function"],
            input_data=[parameter],
            trigger_metadata={},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer: Any = await self._runtime.invocation_request(
            Message(request=Message(invocation_request=invocation))
        )
        ok = answer.result.status == StatusResult.Success
        error = "" if ok else f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}"
        if error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        self.say({"op": "done", "id": command["id"], "ok": ok, "error": error})


async def main(app: str, out: BinaryIO) -> int:
    """The whole life of one worker."""
    worker = Worker(importlib.import_module("azure_functions_runtime"), out)
    if not await worker.index(app):
        return 1
    await worker.obey()
    return 0


if __name__ == "__main__":
    control = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path[:0] = sys.argv[1:]
    os._exit(asyncio.run(main(sys.argv[1], control)))
