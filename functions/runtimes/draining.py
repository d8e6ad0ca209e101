"""SIGTERM: report unready, refuse what is new, finish what runs, end within the time that the host leaves.

Rules
- At the signal the application is told (`drain`): from then on it answers /health with 503 and refuses every
  request with a 503 that says so, and both close their connection. What runs goes on.
- The server closes its listener and tells its connections: idle ones close after `IDLE_S`, others after their
  response (`server.runner` on AWS, `uvicorn_server` on Google).
- What still runs after `EXPIRE_S` is told to end (`expire`): a router ends its streams with an error event.
  After `REQUESTS_S` the server cancels the rest, so its connections break, which no client takes for an end.
  The lifespan's shutdown gets the time that is left (`functions.execution.lifespan`).
- Google Cloud Run: SIGKILL follows 10 s after SIGTERM (cloud.google.com/run/docs/container-contract). With a
  new revision, requests that run go on to completion on the old one (cloud.google.com/run/docs/
  rollouts-rollbacks-traffic-migration), so few are left at the signal.
- AWS Lambda: 300 ms for the runtime where an external extension is registered, as the web adapter is; no
  signal without one (github.com/aws-samples/graceful-shutdown-with-aws-lambda). A sandbox is shut down
  between invocations, so nothing runs at the signal.
- Azure Functions: no signal reaches the application. The worker for Python does not handle the host's message
  `WorkerTerminate`, and the process is killed (azure-functions-python-worker #578, azure-functions-host
  #2308). Here the host drains, or does not (docs/runtimes.md, new deployment).
"""

from __future__ import annotations

from typing import Final, Protocol, cast

# Together with the lifespan's shutdown and uvicorn's own two pauses of 0.1 s below the 10 s of Cloud Run.
EXPIRE_S: Final = 7.5
REQUESTS_S: Final = 8
# How long an idle connection stays open, for a request that was sent before its client knew. Less than the
# 0.1 s that uvicorn waits after it has told its connections, so it costs little of Lambda's 300 ms.
IDLE_S: Final = 0.05


class Draining(Protocol):
    """An application that ends with its instance. Both are called on the thread of the server's loop, `drain`
    within a signal handler."""

    def drain(self) -> None: ...

    def expire(self) -> None: ...


class _NoDraining:
    """Of an application that does not drain."""

    def drain(self) -> None: ...

    def expire(self) -> None: ...


def draining(app: object) -> Draining:
    """The application, if it drains; otherwise what does nothing."""
    return cast("Draining", app) if hasattr(app, "drain") else _NoDraining()
