"""One loopback port per cloud for that cloud's services: storage, secrets, identity."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web

from emulator.desired.model import Cloud
from emulator.runtime.ingress.connections import invite_body
from emulator.runtime.ingress.listener import Listener
from emulator.services import secrets_manager
from emulator.services.azure_blobs import BlobStorage
from emulator.services.gcs import CloudStorage
from emulator.services.object_api import ObjectApi
from emulator.services.objects import BadKey
from emulator.services.s3 import S3
from emulator.services.services import ServiceRequest, ServiceResponse, Services

log = logging.getLogger(__name__)

STORAGE: Mapping[Cloud, ObjectApi] = {"aws": S3(), "azure": BlobStorage(), "gcp": CloudStorage()}
MOST_BYTES = 64 * 1024 * 1024  # of one object or request


def serve(cloud: Cloud, request: ServiceRequest, services: Services) -> ServiceResponse:
    """Let the service that `request` is for answer it."""
    if cloud == "aws" and "x-amz-target" in request.headers:
        return secrets_manager.handle(request, services)
    return STORAGE[cloud].handle(request, services)


class ServicePort:
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

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        body = bytearray()
        invite_body(http)
        async for chunk in http.content.iter_any():
            body += chunk
            if len(body) > MOST_BYTES:
                return web.Response(status=413)
        headers = {name.lower(): value for name, value in http.headers.items()}
        request = ServiceRequest(http.method, http.raw_path, headers, bytes(body))
        try:
            response = serve(self._cloud, request, self._services)
        except BadKey as key:
            response = ServiceResponse(
                400, {}, f"the emulator keeps objects as files and cannot name one {key}".encode()
            )
        if response.status in (401, 403):
            log.warning(
                "%s %s %s: refused with %d", self._cloud, request.method, request.path, response.status
            )
        return web.Response(status=response.status, headers=response.headers, body=response.body)
