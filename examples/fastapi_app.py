"""A FastAPI application with a lifespan, a state for each request, and a redirect from `/items`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request

from functions.api import repeatable


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """Load what all requests need, once in each instance before its first request."""
    app.state.items = ["tea", "rice"]
    yield {"currency": "EUR"}


app = repeatable(FastAPI(lifespan=lifespan))


@app.get("/items/")
def items(request: Request) -> dict[str, object]:
    """The items and the currency that the lifespan has loaded."""
    return {"items": request.app.state.items, "currency": request.state.currency}


@app.post("/invoke")
async def invoke(body: dict[str, str]) -> dict[str, str]:
    """Answer as an agent function would."""
    return {"output": body["input"].title()}
