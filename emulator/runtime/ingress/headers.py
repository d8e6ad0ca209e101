"""Headers that the clouds add at the edge, to requests and to replies. Pure.

Only those that functions read or callers see.
"""

from __future__ import annotations

import hashlib

from emulator.desired.model import Cloud, Function
from emulator.runtime.types import Headers

# Fields that Lambda's front end sets itself; the function's own arrives as `x-amzn-remapped-NAME`. A streamed
# reply therefore has no length (github.com/cargo-lambda/cargo-lambda/issues/862), and a challenge reaches no
# client (observed on function URLs by several public projects, 2026-09). The other three: responses of Lambda
# and API Gateway that public repositories recorded.
RENAMED_BY_LAMBDA = frozenset({"connection", "content-length", "date", "server", "www-authenticate"})
# Of a streamed reply without one (github.com/honojs/hono/issues/1672 has a whole head).
LAMBDAS_TYPE = ("content-type", "application/octet-stream")

# Of every emulated client, in what Azure says of it.
CLIENT_PORT = 49_152


def _trace(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:32]


def request(spec: Function, passed: Headers, peer: str, call_id: str) -> Headers:
    """`passed` (lower-case names) plus what the cloud adds or replaces."""
    found = dict(passed)
    chain = f"{found['x-forwarded-for']}, {peer}" if "x-forwarded-for" in found else peer
    trace = _trace(call_id)
    added: dict[str, str] = {"x-forwarded-for": chain, "x-forwarded-proto": "http"}
    match spec.cloud:
        case "aws":
            added["x-forwarded-for"] = peer  # Lambda ignores the caller's field
            added["x-forwarded-port"] = str(spec.port)
            added["x-amzn-trace-id"] = found.get("x-amzn-trace-id") or f"Root=1-{trace[:8]}-{trace[8:]}"
        case "azure":
            # With the client's port, and the name that was asked for: dotnet/AspNetCore.Docs issue 2384 has a
            # whole request of App Service.
            added["x-forwarded-for"] = f"{chain}:{CLIENT_PORT}"
            added["x-forwarded-host"] = added["disguised-host"] = found.get("host", spec.authority)
            added["x-arr-log-id"] = call_id
        case "gcp":
            # A request as Cloud Run gave it to a service: pc.atsuhiro-me.net/entry/2022/08/11/081130.
            added["forwarded"] = f'for="{peer}";proto=http'
            added["x-cloud-trace-context"] = found.get("x-cloud-trace-context") or f"{trace}/1"
            added["traceparent"] = found.get("traceparent") or f"00-{trace}-{trace[:16]}-00"
    return (*((name, value) for name, value in passed if name not in added), *added.items())


def renamed(said: Headers) -> Headers:
    """The fields of a Lambda function as its URL passes them on."""
    return tuple(
        (f"x-amzn-remapped-{name}" if name in RENAMED_BY_LAMBDA else name, value) for name, value in said
    )


def typed(said: Headers) -> Headers:
    """The fields of a streamed reply of Lambda, with a type."""
    return said if any(name == "content-type" for name, _ in said) else (*said, LAMBDAS_TYPE)


def reply(cloud: Cloud, said: Headers, call_id: str) -> Headers:
    """The function's fields plus what the cloud adds or replaces."""
    match cloud:
        case "aws":
            trace = _trace(call_id)
            root = f"Root=1-{trace[:8]}-{trace[8:]};Parent={trace[:16]};Sampled=0"
            added = {"x-amzn-requestid": call_id, "x-amzn-trace-id": root}
        case "azure":
            return said
        case "gcp":
            added = {"x-cloud-trace-context": f"{_trace(call_id)};o=0", "server": "Google Frontend"}
    return (*((name, value) for name, value in said if name not in added), *added.items())


def platform(cloud: Cloud, call_id: str) -> Headers:
    """Headers of a reply by the platform itself."""
    return (("x-ms-middleware-request-id", call_id),) if cloud == "azure" else reply(cloud, (), call_id)
