"""`skyfleet top` keeps its last picture while the manager is away."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.cli.commands.top import View
from infra.operations.errors import CommandFailed
from infra.operations.json_access import JsonObject
from infra.operations.manager.client import Client


@dataclass(frozen=True, slots=True)
class Scripted(Client):
    """A manager whose answers are given: a picture, or a reason."""

    script: list[JsonObject | str] = field(default_factory=list[JsonObject | str])

    def status(self) -> JsonObject:
        found = self.script.pop(0)
        if isinstance(found, str):
            raise CommandFailed(found)
        return found

    def jobs(self, limit: int) -> list[JsonObject]:
        return [{"id": str(limit)}]


def test_a_lost_manager_leaves_the_last_picture_until_it_is_back() -> None:
    """With the reason, which ends with the next answer."""
    view = View(Scripted("http://m", script=["refused", {"at": 2}]), {"at": 1}, [])
    view.refresh()
    assert (view.picture, view.lost) == ({"at": 1}, "refused")
    view.refresh()
    assert (view.picture, view.jobs, view.lost) == ({"at": 2}, [{"id": "3"}], "")
