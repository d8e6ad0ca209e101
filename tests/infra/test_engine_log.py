"""Tests of the messages that the program sends to the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pytest
from pulumi.runtime.proto import engine_pb2

from infra.engine_log import leave_out_debug


@dataclass(slots=True)
class Engine:
    """The engine's log. requests: what it was asked to show."""

    requests: list[engine_pb2.LogRequest] = field(default_factory=list[engine_pb2.LogRequest])

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 - the name in Pulumi's protocol
        self.requests.append(request)


@pytest.mark.pure
def test_debug_messages_are_left_out_and_all_others_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the SDK too, whose modules look `debug` up in `pulumi.log`."""
    engine = Engine()
    monkeypatch.setattr(pulumi.log, "get_engine", lambda: engine)
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)  # put back after the test
    pulumi.log.debug("before")
    leave_out_debug()
    for send in (pulumi.log.debug, pulumi.log.info, pulumi.log.warn, pulumi.log.error):
        send("after")
    assert [(one.severity, one.message) for one in engine.requests] == [
        (engine_pb2.DEBUG, "before"),
        (engine_pb2.INFO, "after"),
        (engine_pb2.WARNING, "after"),
        (engine_pb2.ERROR, "after"),
    ]
