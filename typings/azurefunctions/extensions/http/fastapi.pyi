"""What functions/runtimes/azure.py uses of azurefunctions-extensions-http-fastapi."""

from fastapi import FastAPI
from starlette.requests import Request as Request
from starlette.responses import Response as Response

class WebApp:
    web_app: FastAPI
    def __init__(self) -> None: ...
