"""SIGTERM: report unready, refuse what is new, finish what runs, end within the time that the host leaves.

Rules
- At the signal the application is told (`drain`): from then on it answers /health with 503 and refuses every
  request with a 503 that says so, and both close their connection. What runs goes on.
- uvicorn notices the signal within 0.1 s (`Server.main_loop`, uvicorn 0.54), closes its listener, tells its
  connections and waits for them: idle ones close after `IDLE_S`, others after their response. gunicorn's
  arbiter passes the signal on to its worker, whose server is uvicorn's (gunicorn/arbiter.py, `stop`;
  uvicorn_worker/_workers.py, `_serve`, 0.4).
- What still runs after `EXPIRE_S` is told to end (`expire`): a router ends its streams with an error event.
  After `REQUESTS_S` uvicorn cancels the rest, so its connections break, which no client takes for an end. The
  lifespan's shutdown gets the time that is left (`functions.execution.lifespan`).
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

import asyncio
import socket
import sys
from types import FrameType
from typing import Final, Protocol, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

# Together with the lifespan's shutdown and uvicorn's own two pauses of 0.1 s below the 10 s of Cloud Run.
EXPIRE_S: Final = 7.5
REQUESTS_S: Final = 8
# How long an idle connection stays open, for a request that was sent before its client knew. Less than the
# 0.1 s that uvicorn waits after it has told its connections, so it costs no time of Lambda's 300 ms.
IDLE_S: Final = 0.05


class Draining(Protocol):
    """An application that ends with its instance. Both are called on the thread of the server's loop, `drain`
    within a signal handler."""

    def drain(self) -> None: ...

    def expire(self) -> None: ...


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which tells its application that the instance ends."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT has come."""
        super().handle_exit(sig, frame)
        _of(self).drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: finish what runs."""
        app = _of(self)
        app.drain()  # a server may also end without a signal
        timer = asyncio.get_running_loop().call_later(EXPIRE_S, app.expire)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def run(config: uvicorn.Config) -> None:
    """Serve until the process is stopped; as `uvicorn.run` does it for one process."""
    server = GracefulServer(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class _Deaf:
    """What is told in place of an application that does not drain."""

    def drain(self) -> None: ...

    def expire(self) -> None: ...


def _of(server: uvicorn.Server) -> Draining:
    app = cast("object", server.config.app)
    return cast("Draining", app) if hasattr(app, "drain") else _Deaf()
