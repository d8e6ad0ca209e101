"""What the clouds themselves change, as docs/runtimes.md lists it: left out before exchanges are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from emulator.desired.model import Cloud
from emulator.runtime.aws.event import as_adapter
from emulator.runtime.azure import proxy
from emulator.runtime.ingress.reserved_paths import passed_on
from tests.differential.client import Got
from tests.differential.model import Case, Header
from tests.differential.recorder import Seen

# What front ends and the agent's middleware say of the client.
TOLD: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"}
)
# Ids of a trace go on: a router is a part of it.
TRACES: Final = frozenset({b"traceparent", b"x-amzn-trace-id", b"x-cloud-trace-context"})
ADDED_TO_REQUEST: Final[dict[Cloud, frozenset[bytes]]] = {
    "aws": frozenset({b"x-amzn-lambda-context", b"x-amzn-request-context"}),
    "azure": frozenset({b"disguised-host", b"x-arr-log-id", b"x-ms-invocation-id"}),
    "gcp": frozenset(),
}
# Of all clouds: a router forwards those of the agent's cloud, and its own cloud adds its own.
ADDED_TO_REPLY: Final = frozenset(
    {b"date", b"server", b"x-amzn-requestid", b"x-amzn-trace-id", b"x-cloud-trace-context"}
)
# The middleware of agents adds these to a reply.
OF_AGENTS: Final = frozenset({b"endpoint-load-metrics", b"x-skyfleet-cold"})
# What Lambda gives to a streamed reply without a type.
AZURES_FIELDS: Final = 70  # of a client
LAMBDAS_TYPE: Final = (b"content-type", b"application/octet-stream")
# All of these, as names that an agent may tell.
ADDED: Final = frozenset(name.decode() for name in TOLD.union(TRACES, *ADDED_TO_REQUEST.values()))
REMAPPED: Final = b"x-amzn-remapped-"
RESTORED: Final = frozenset({b"content-length", b"www-authenticate"})


def carries(case: Case, pair: tuple[Cloud, Cloud]) -> bool:
    """Whether both clouds pass all fields on: Azure's host takes ASCII alone, and 100 fields with its own."""
    sent, said = case.request.fields, case.reply.fields
    return "azure" not in pair or (
        len(sent) <= AZURES_FIELDS and all(value.isascii() for _, value in (*sent, *said))
    )


def request(seen: Seen, router: Cloud, agent: Cloud, sent: frozenset[bytes]) -> Seen:
    """A request as the agent saw it, without what the clouds of both functions do. sent: names of the
    client's own fields."""
    fields = joined(seen.fields) if {"aws", "azure"} & {router, agent} else list(seen.fields)
    added = ADDED_TO_REQUEST[agent] | TOLD | (TRACES - sent)
    target = seen.target.decode("latin-1")
    target = passed_on("gcp", target) if "gcp" in (router, agent) else target
    target = as_adapter(target) if "aws" in (router, agent) else target
    target = proxy.passed_on(target) if "azure" in (router, agent) else target
    return replace(
        seen,
        target=target.encode("latin-1"),
        fields=ordered(field for field in fields if field[0] not in added),
    )


def reply(got: Got, cloud: Cloud, pair: tuple[Cloud, Cloud]) -> Got:
    """A reply as the client got it, without what the clouds do. cloud: of the function that it called. pair:
    the clouds of router and agent."""
    dropped = ADDED_TO_REPLY | OF_AGENTS
    fields = [field for field in got.fields if field[0] not in dropped]
    if "aws" in pair:
        fields = as_on_lambda(field for field in fields if field != LAMBDAS_TYPE)
    framing = got.framing
    if cloud == "aws":
        fields = [restored(field) for field in fields]
        fields = [field for field in fields if not field[0].startswith(REMAPPED)]
        if framing == "chunked" and any(name == b"content-length" for name, _ in fields):
            framing = "length"
    coded = any(name == b"content-encoding" for name, _ in fields)
    if pair[1] == "aws" and framing == "length" and (coded or not got.body):
        # A renamed length of 0, or of what Lambda may have decoded, is believed by no router.
        fields = [field for field in fields if field[0] != b"content-length"]
        framing = "chunked"
    return replace(got, fields=ordered(fields), framing=framing)


def ordered(fields: Iterable[Header]) -> tuple[Header, ...]:
    """Fields by name. Only the order of fields of one name has a meaning (RFC 9110, section 5.3), and clouds
    put those that they replace at the end."""
    return tuple(sorted(fields, key=lambda field: field[0]))


def once(got: Got) -> Got:
    """A reply with its fields as a server on AWS writes them: for its platform, each name once."""
    return replace(got, fields=ordered(as_on_lambda(got.fields)))


def as_on_lambda(fields: Iterable[Header]) -> list[Header]:
    """Repeated fields of a reply as one, but for cookies."""
    found = list(fields)
    once = {
        name: b", ".join(value for other, value in found if other == name)
        for name, _ in found
        if name != b"set-cookie"
    }
    return [*once.items(), *(field for field in found if field[0] == b"set-cookie")]


def restored(field: Header) -> Header:
    """A field that Lambda's front end has renamed, with its own name."""
    name = field[0].removeprefix(REMAPPED)
    return (name, field[1]) if name in RESTORED else field


def joined(fields: tuple[Header, ...]) -> list[Header]:
    """Repeated fields as one, as Lambda's event and its adapter have them; Azure's host has a space too."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        glue = b";" if name == b"cookie" else b","
        found[name] = found[name] + glue + value if name in found else value
    return [(name, value.replace(b"; ", b";").replace(b", ", b",")) for name, value in found.items()]
