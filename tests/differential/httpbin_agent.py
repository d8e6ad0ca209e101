"""httpbin as an ASGI application, for a server in this process and for packages: it stands alone."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from httpbin import app as wsgi

app = WSGIMiddleware(wsgi)  # pyright: ignore[reportArgumentType] - the two libraries' types of WSGI differ
