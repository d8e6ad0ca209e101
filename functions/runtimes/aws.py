"""AWS Lambda: the application as a web server behind the Lambda Web Adapter, which streams its replies.

run.sh starts this (`AWS_LAMBDA_EXEC_WRAPPER=/opt/bootstrap`, `AWS_LWA_INVOKE_MODE=response_stream`). Events
that are no HTTP, like the scheduler's, arrive as `POST /events`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import uvicorn

from functions.runtimes.load import load_app
from functions.runtimes.secrets_manager import read_secret


def serve(environ: Mapping[str, str]) -> None:
    """Serve SKYFLEET_APP where the adapter looks for it, until the process is stopped."""
    uvicorn.run(
        load_app(with_signing_keys(environ)),
        host="127.0.0.1",
        port=int(environ.get("AWS_LWA_PORT") or environ.get("PORT") or 8080),
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        # A frozen sandbox wakes after minutes: its idle connection from the adapter must still be open.
        timeout_keep_alive=3600,
    )


def with_signing_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the keys out of Secrets Manager, named by SKYFLEET_SECRET_ARN."""
    arn = environ.get("SKYFLEET_SECRET_ARN")
    if not arn:
        return dict(environ)
    keys = read_secret(arn, environ, time.time, time.sleep)
    return {**environ, "SKYFLEET_SIGNING_KEYS": keys}


if __name__ == "__main__":
    serve(os.environ)
