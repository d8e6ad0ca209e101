"""A FastAPI agent as people write them: links to itself, redirects, documents, a mounted app, CORS."""

from __future__ import annotations

import os

from fastapi import FastAPI, HTTPException, Request, Response
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


@app.get("/item/", name="item")
async def item(request: Request) -> dict[str, object]:
    """Where a reply says how the application sees its request."""
    client = request.client
    return {
        "url": str(request.url),
        "link": str(request.url_for("item")),
        "parameters": request.path_params,
        "client": None if client is None else [client.host, client.port],
        "headers": sorted(f"{name}: {value}" for name, value in request.headers.items()),
    }


@app.get("/.well-known/oauth-protected-resource")
async def metadata(request: Request) -> dict[str, str]:
    """RFC 9728: `resource` must be the URL that the client uses."""
    return {"resource": f"{request.base_url}mcp"}


@app.post("/created")
async def created() -> Response:
    """An application that knows its own URL from elsewhere."""
    return Response(status_code=201, headers={"location": os.environ["OWN_URL"] + "/item/7?a=b"})


mounted = FastAPI()


@mounted.get("/deep/", name="deep")
async def deep(request: Request) -> dict[str, str]:
    return {"url": str(request.url), "link": str(request.url_for("deep")), "root": request.scope["root_path"]}


app.mount("/sub", mounted)
