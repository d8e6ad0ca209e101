"""How the requests of draining targets are shown until they have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.cli.requests_left import LONGEST_S, follow
from infra.operations.json_access import JsonObject
from infra.operations.manager.client import Client
from tests.infra.cli.fakes import Reply, Request, json_reply, serving


@dataclass
class Shown:
    """A display that keeps what it is told. The clock moves with each sleep."""

    lines: list[str] = field(default_factory=list[str])
    percents: list[object] = field(default_factory=list[object])
    now: float = 0.0

    def event(self, event: JsonObject) -> None:
        self.say(str(event["text"]))
        self.percents.append(event["percent"])

    def say(self, text: str) -> None:
        self.lines.append(text)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def shown(requests: Sequence[int]) -> Shown:
    """What is shown of a target with so many requests, one number a look; the last one stays."""
    left, display = [*requests], Shown()

    def status(request: Request) -> Reply:
        assert request.path == "/api/status"
        count = left.pop(0) if len(left) > 1 else left[0]
        other = {"cloud": "gcp", "region": "europe-west1", "inflight": 9}
        return json_reply({"targets": [{"cloud": "aws", "region": "eu-west-1", "inflight": count}, other]})

    with serving(status) as url:
        client = Client(url, sleep=display.sleep, clock=lambda: display.now)
        follow(client, ("aws/eu-west-1",), display)
    return display


def test_the_requests_of_a_draining_target_are_shown_until_none_is_left() -> None:
    """Each change once, with what has ended of the most that there were."""
    found = shown([4, 4, 1, 0])
    assert found.lines == [f"{count} in flight there" for count in ("4 requests", "1 request", "0 requests")]
    assert found.percents == [0.0, 75.0, 100.0]
    assert shown([0]).percents == [100.0]


def test_requests_that_do_not_end_are_left_to_themselves() -> None:
    """After a while the command ends, and says that they go on."""
    found = shown([1])
    assert found.lines[0] == "1 request in flight there"
    assert "they go on draining" in found.lines[-1]
    assert found.now >= LONGEST_S


def test_a_manager_that_is_lost_ends_the_display(no_listener: str) -> None:
    """The change is made by then, so it is no failure of the command."""
    display = Shown()
    follow(Client(no_listener), ("aws/eu-west-1",), display)
    assert ["they go on draining" in line for line in display.lines] == [True]
