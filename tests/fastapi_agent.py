"""A FastAPI agent as people write them: links to itself, redirects, documents, a mounted app, CORS."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware

PAGE = "https://app.example.net"
app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    allow_origins=[PAGE],
    allow_methods=["*"],
    allow_headers=["authorization", "content-type"],
    expose_headers=["x-skyfleet-target"],
)


@app.post("/invoke")
async def invoke() -> dict[str, str]:
    return {"output": "fine"}


@app.post("/forbidden")
async def forbidden() -> None:
    raise HTTPException(403, "not for you")
