"""One loopback port per cloud for that cloud's own services: storage, secrets, identity."""

from __future__ import annotations

import logging

from aiohttp import web

from emulator.desired.state import Cloud
from emulator.runtime.connections import invite_body
from emulator.runtime.listening import Listener
from emulator.services import azure_blobs, gcs, s3, secrets_manager
from emulator.services.objects import BadKey
from emulator.services.services import Asked, Services, Told

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024 * 1024  # of one object or request


def serve(cloud: Cloud, asked: Asked, services: Services) -> Told:
    """The service that answers `asked` in `cloud`."""
    if cloud == "azure":
        return azure_blobs.handle(asked, services)
    if cloud == "gcp":
        return gcs.handle(asked, services)
    if "x-amz-target" in asked.headers:
        return secrets_manager.handle(asked, services)
    return s3.handle(asked, services)


class CloudApi:
    """The services of one cloud on one port."""

    def __init__(self, cloud: Cloud, port: int, services: Services) -> None:
        self._cloud: Cloud = cloud
        self._services = services
        self._listener = Listener(port, f"the {cloud} services", self._answer)
        self.address = f"http://127.0.0.1:{port}"

    async def open(self) -> None:
        """Start listening."""
        await self._listener.open()

    async def close(self) -> None:
        """Stop."""
        await self._listener.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = bytearray()
        invite_body(request)
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MOST_BYTES:
                return web.Response(status=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, request.raw_path, headers, bytes(body))
        try:
            told = serve(self._cloud, asked, self._services)
        except BadKey as key:
            told = Told(400, {}, f"the emulator keeps objects as files and cannot name one {key}".encode())
        if told.status in (401, 403):
            log.warning("%s %s %s: refused with %d", self._cloud, asked.method, asked.path, told.status)
        return web.Response(status=told.status, headers=told.headers, body=told.body)
