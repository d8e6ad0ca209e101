"""uvicorn's server, on Google: it tells its application of the end of the instance.

See `functions.runtimes.draining`. uvicorn notices the signal within 0.1 s (`Server.main_loop`, uvicorn
0.54), closes its listener, tells its connections and waits for them. gunicorn's arbiter passes the signal on
to its worker, whose server is uvicorn's (gunicorn/arbiter.py, `stop`; uvicorn_worker/_workers.py, `_serve`,
0.4).
"""

from __future__ import annotations

import asyncio
import socket
from types import FrameType

import uvicorn

from functions.runtimes import draining


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which tells its application that the instance ends."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT has come."""
        super().handle_exit(sig, frame)
        draining.draining(self.config.app).drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: finish what runs."""
        app = draining.draining(self.config.app)
        app.drain()  # a server may also end without a signal
        timer = asyncio.get_running_loop().call_later(draining.EXPIRE_S, app.expire)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()
