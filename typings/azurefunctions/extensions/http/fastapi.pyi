"""What functions/runtimes/azure.py uses of azurefunctions-extensions-http-fastapi."""

from starlette.requests import Request as Request
from starlette.responses import Response as Response
