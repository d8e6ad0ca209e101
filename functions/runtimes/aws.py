"""AWS Lambda: the application as a web server behind the Lambda Web Adapter, which streams its replies.

run.sh starts this (`AWS_LAMBDA_EXEC_WRAPPER=/opt/bootstrap`, `AWS_LWA_INVOKE_MODE=response_stream`). Events
that are no HTTP, like the scheduler's, arrive as `POST /events`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, MutableMapping
from typing import cast

import uvicorn

from functions.runtimes.app_loader import load_app
from functions.runtimes.errors import SecretNotRead
from functions.runtimes.secrets_manager import read_secret
from skyfleet import contract


def serve(environ: MutableMapping[str, str]) -> None:
    """Serve SKYFLEET_APP where the adapter looks for it, until the process is stopped."""
    uvicorn.run(
        load_app(environ, secrets(environ)),
        host="127.0.0.1",
        port=int(environ.get("AWS_LWA_PORT") or environ.get("PORT") or 8080),
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        # uvicorn works out the caller's address for each request; agents may ask for it, a router never does.
        proxy_headers=environ.get(contract.ROLE, "agent") == "agent",
        # A frozen sandbox wakes after minutes: its idle connection from the adapter must still be open.
        timeout_keep_alive=3600,
    )


def secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """This function's secrets by variable, out of the one in Secrets Manager that SKYFLEET_SECRET_ARN names:
    one request at a start, and none of them in the configuration that others may read."""
    arn = environ.get(contract.SECRET_ARN)
    if not arn:
        return {}
    try:
        found: object = json.loads(read_secret(arn, environ, time.time, time.sleep))
    except ValueError:
        found = None
    values = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    if not values or not all(isinstance(value, str) for value in values.values()):
        raise SecretNotRead(
            f'The secret {arn} is not a JSON object of texts. Expected {{"{contract.SIGNING_KEYS}": "..."}}; '
            "deploy again, so that the Pulumi program writes it."
        )
    return cast("dict[str, str]", values)


if __name__ == "__main__":
    serve(os.environ)
