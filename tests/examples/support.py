"""An example behind a router, in this process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator

from functions.app import create
from tests.router.support import keys_of, router, served


@contextlib.asynccontextmanager
async def behind_a_router(
    agent: str, public_url: str = "", *, keyed: bool = False
) -> AsyncGenerator[str, None]:
    """The router's URL. The agent does not declare itself repeatable. keyed: the router
    asks for the API key."""
    # A session manager of MCP starts once, so each function has a server of its own, as each instance has.
    sys.modules.pop(agent.partition(":")[0], None)
    app = create({"SKYFLEET_SIGNING_KEYS": keys_of("agent", "aws/r0"), "SKYFLEET_AGENT": agent})
    async with (
        served(app) as port,
        router(
            [f"http://127.0.0.1:{port}"],
            repeatable=False,
            SKYFLEET_PUBLIC_URL=public_url,
            SKYFLEET_OPEN="0" if keyed else "1",
        ) as front,
    ):
        yield f"http://127.0.0.1:{front.port}"
