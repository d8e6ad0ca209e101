"""The same ASGI application inside each vendor's runtime; what must differ is listed in docs/runtimes.md."""
