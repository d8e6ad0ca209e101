"""A client of the manager's API for the command line.

Rules
- An operator's token comes from SKYFLEET_MANAGER_TOKEN, never from argv, which other users of a
  machine can read.
- A stream of events that breaks is taken up after the last event, as long as the manager comes back in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from infra.operations import json_access
from infra.operations.errors import CommandFailed, ManagerSilent
from infra.operations.http import session
from infra.operations.json_access import JsonObject
from infra.operations.manager.process import running
from infra.operations.paths import Layout
from infra.operations.routers.sse import events
from infra.operations.stack.option import is_real

if TYPE_CHECKING:
    import requests

TOKEN: Final = "SKYFLEET_MANAGER_TOKEN"  # noqa: S105 (a name)
# A change may ask each router first.
ANSWER_S: Final = 15.0
# What the manager has at hand.
READ_S: Final = 3.0
# The manager sends a heartbeat every 10 s.
SILENT_S: Final = 35.0
# A manager that was killed is started again by hand or by `make up`.
RETURN_S: Final = 120.0
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the manager at `url`. token: empty for none. sleep, clock: seconds."""

    url: str
    token: str = field(default="", repr=False)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def change(self, method: str, path: str, body: Mapping[str, object], *, preview: bool) -> str:
        """Ask for a change and return the id of its job. Raises CommandFailed with the manager's reason."""
        query = "?preview=true" if preview else ""
        return json_access.string(self._call(method, f"{path}{query}", body).get("job"))

    def drain(self, target: str, *, undo: bool, force: bool) -> None:
        """Have all routers drain a target, or end that. Raises CommandFailed with the manager's reason."""
        self._call("POST", "/api/drain", {"target": target, "undo": undo, "force": force})

    def require_answer(self) -> None:
        """Ask whether it is there; a refusal is an answer too. Raises ManagerSilent."""
        try:
            self._call("GET", "/health", timeout_s=READ_S)
        except ManagerSilent:
            raise
        except CommandFailed:
            return

    def job(self, job: str) -> JsonObject:
        """One job. Raises CommandFailed."""
        return self._call("GET", f"/api/jobs/{job}")

    def status(self) -> JsonObject:
        """The picture of the fleet. Raises CommandFailed."""
        return self._call("GET", "/api/status", timeout_s=READ_S)

    def jobs(self, limit: int) -> list[JsonObject]:
        """The newest jobs, newest first. Raises CommandFailed."""
        reply = self._call("GET", f"/api/jobs?limit={limit}", timeout_s=READ_S)
        return json_access.objects(reply.get("jobs"))

    def cancel(self, job: str) -> str:
        """Cancel a job; what came of it, in words."""
        try:
            self._call("POST", f"/api/jobs/{job}/cancel")
        except CommandFailed as failed:
            return failed.message
        return "cancelling: Pulumi ends what it is doing, then the job ends; Ctrl-C again leaves it to itself"

    def follow(self, job: str, after: int = 0) -> Generator[JsonObject]:
        """The events of a job, past and to come, until it has ended. Raises CommandFailed."""
        import requests

        lost: float | None = None
        while True:
            try:
                for name, data in self._stream(job, after):
                    lost = None
                    if name == "end":
                        return
                    after = int(json_access.number(data.get("number")) or after)
                    yield data
            except requests.RequestException as error:
                lost = self.clock() if lost is None else lost
                if self.clock() - lost > RETURN_S:
                    raise CommandFailed(
                        f"the manager at {self.url} has not answered for {RETURN_S:.0f} s "
                        f"({type(error).__name__}). The job {job} may still run: {self.url}/api/jobs/{job}"
                    ) from None
            self.sleep(RETRY_S)

    def _stream(self, job: str, after: int) -> Generator[tuple[str, JsonObject]]:
        import requests

        with session(self.url) as http:
            headers = {**self._headers(), "accept": "text/event-stream", "last-event-id": str(after)}
            path = f"{self.url}/api/jobs/{job}/events"
            with http.get(path, headers=headers, stream=True, timeout=(ANSWER_S, SILENT_S)) as reply:
                if reply.status_code == 204:
                    yield "end", {}
                    return
                if reply.status_code in (429, 503):  # too many listeners, or it is about to stop
                    raise requests.exceptions.RetryError(f"HTTP {reply.status_code}")
                _check(reply)
                for event in events(reply.iter_content(chunk_size=None)):
                    yield event.name, json_access.as_object(json_access.parse(event.data))

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, timeout_s: float = ANSWER_S
    ) -> JsonObject:
        import requests

        with session(self.url) as http:
            try:
                reply = http.request(
                    method, f"{self.url}{path}", json=body, headers=self._headers(), timeout=timeout_s
                )
            except requests.Timeout:
                raise ManagerSilent(
                    f"the manager at {self.url} has not answered within {timeout_s:.0f} s: its log may say "
                    "why"
                ) from None
            except requests.RequestException as error:
                raise ManagerSilent(
                    f"the manager at {self.url} does not answer ({type(error).__name__}): `make up` or "
                    "`skyfleet manager` starts it"
                ) from None
        _check(reply)
        return json_access.as_object(json_access.parse(reply.text))

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


def find(layout: Layout, stack: str | None, environ: Mapping[str, str]) -> Client:
    """The client of a stack's manager, which answers. stack: None means the emulator's.

    Raises ManagerSilent, or CommandFailed when the token in the environment cannot be sent.
    """
    info = running(layout, stack) if stack else running(layout)
    if info is None:
        named = f" --stack {stack}" if is_real(stack) else ""
        starts = f"`skyfleet manager{named}`" + ("" if named else " or `make up`")
        raise ManagerSilent(f"no manager of this stack runs: {starts} starts it")
    token = environ.get(TOKEN, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise CommandFailed(f"{TOKEN} is no token: one has letters, digits and _ only")
    client = Client(info.url, token)
    client.require_answer()
    return client


def _check(reply: requests.Response) -> None:
    """Raise CommandFailed with what the manager's problem document says.

    ManagerSilent when the manager itself is at fault (RFC 9110, section 15.6).
    """
    if reply.status_code < 400:
        return
    problem = json_access.as_object(json_access.parse(reply.text))
    detail = json_access.string(problem.get("detail")) or f"HTTP {reply.status_code} without a reason"
    if reply.status_code == 401:
        detail += f" {TOKEN} is where the command line looks for one."
    known = json_access.strings(problem.get("known"))
    # Those of a request's fields are in the sentence of a field that is not known.
    if known and "errors" not in problem and not all(name in detail for name in known):
        detail += f" Known: {', '.join(known)}."
    failure = ManagerSilent if reply.status_code >= 500 else CommandFailed
    raise failure(str(json_access.printable(detail)))
