"""The manager of one stack, put together: services, API, page, access."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

from infra.manager.access.audit import AuditLog
from infra.manager.access.audited import AuditedFleet, AuditedJobs
from infra.manager.access.gate import Access
from infra.manager.access.tokens import TokenStore
from infra.manager.app import Parts, create_app
from infra.manager.fleet.local import sources
from infra.manager.fleet.router_fleet import RouterFleet
from infra.manager.jobs.processes import jobs_of
from infra.manager.page.routes import looks, routes
from infra.manager.server import Service
from infra.manager.stream import Listeners
from infra.operations.paths import Layout
from infra.operations.stack.option import is_real


def build(layout: Layout, stack: str, hosts: Collection[str]) -> Service:
    """The application of a stack's manager. hosts: names in Host besides those of loopback."""
    routers, queue, listeners = RouterFleet(sources(layout, stack)), jobs_of(layout, stack), Listeners()
    fleet, jobs = AuditedFleet(routers), AuditedJobs(queue)

    @asynccontextmanager
    async def running() -> AsyncGenerator[None]:
        async with routers.running(), queue.running():
            yield

    page = routes(fleet, jobs, stack=stack, stopping=listeners.stopping)
    parts = Parts(stack, fleet, jobs, access(layout, stack, hosts), listeners, page, looks(), running)
    return Service(create_app(parts), listeners.stopping.set)


def access(layout: Layout, stack: str, hosts: Collection[str]) -> Access:
    """Tokens and audit log of a stack."""
    folder = layout.manager(stack)
    return Access(
        TokenStore(folder / "tokens.json"),
        AuditLog(folder / "audit.jsonl"),
        is_local=not is_real(stack),
        hosts=hosts,
    )
