"""AWS Lambda: the application as a web server behind the Lambda Web Adapter, which streams its replies.

run.sh starts this module (`AWS_LAMBDA_EXEC_WRAPPER=/opt/bootstrap`, `AWS_LWA_INVOKE_MODE=response_stream`).
Events other than HTTP requests, such as the scheduler's, arrive as `POST /events`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Final, cast

from functions.runtimes.app_loader import load_or_exit
from functions.runtimes.errors import CannotStart, SecretNotRead
from functions.runtimes.secrets_manager import read_secret
from functions.runtimes.server.runner import run
from skyfleet import contract

# The adapter's idle connection must stay open while the sandbox is frozen, for minutes.
KEEP_ALIVE_S: Final = 3600.0


def serve(environ: MutableMapping[str, str]) -> None:
    """Serve SKYFLEET_APP on the adapter's port until the process is stopped."""
    app = load_or_exit(environ, secrets(environ))
    port = int(environ.get("AWS_LWA_PORT") or environ.get("PORT") or 8080)
    try:
        run(app, port, keep_alive_s=KEEP_ALIVE_S)
    except CannotStart as error:
        sys.exit(f"{contract.CANNOT_START}{error}")


def secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Read this function's secrets, by variable, from the secret that SKYFLEET_SECRET_ARN names.

    One request at the start suffices, and the function's configuration contains no secret. Raises
    SecretNotRead."""
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
