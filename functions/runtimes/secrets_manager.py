"""Read one secret from AWS Secrets Manager at the start of a function, without the 200 ms of the AWS SDK.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
Rule: messages contain the status of the service's answer, and neither its text nor the secret.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from functions.runtimes.errors import SecretNotRead
from functions.runtimes.sigv4 import Credentials, Service, sign

# Three tries fit into Lambda's init phase of ten seconds.
TIMEOUT_S: Final = 2.0
PAUSES_S: Final = (0.1, 0.4)
TARGET: Final = "secretsmanager.GetSecretValue"


def read_secret(
    arn: str, environ: Mapping[str, str], now: Callable[[], float], wait: Callable[[float], None]
) -> str:
    """Return the secret's text. environ: of the function, with its credentials. now: unix seconds.

    Raises SecretNotRead after three failed tries or a refusal."""
    region = arn.split(":")[3] if arn.count(":") >= 6 else environ.get("AWS_REGION", "")
    url = environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or f"https://secretsmanager.{region}.amazonaws.com"
    credentials = _credentials(environ)
    body = json.dumps({"SecretId": arn}).encode()
    given = {"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET}
    problem = ""
    for pause in (*PAUSES_S, None):
        service = Service("secretsmanager", region)
        headers = sign("POST", f"{url.rstrip('/')}/", given, body, service, credentials, now())
        try:
            status, reply = _post(url, headers, body)
        except (OSError, http.client.HTTPException) as error:
            problem = f"cannot be reached ({type(error).__name__})"
        else:
            if status == 200:
                return _text(arn, reply)
            problem = f"answered with status {status}"
            if status < 500 and status != 429 and b"Throttling" not in reply:
                break  # a retry would have the same result
        if pause is not None:
            wait(pause)
    raise SecretNotRead(
        f"Secrets Manager in {region or 'no region'} {problem} for {arn}. "
        "Check that the secret exists and that the function's role may read it (GetSecretValue)."
    )


def _post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/", body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _text(arn: str, reply: bytes) -> str:
    try:
        text: object = json.loads(reply)["SecretString"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise SecretNotRead(
            f"Secrets Manager gave no text for {arn}. Store the keys as a text, not as bytes."
        )
    return text


def _credentials(environ: Mapping[str, str]) -> Credentials:
    try:
        return Credentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN", ""),
        )
    except KeyError as error:
        raise SecretNotRead(
            f"{error.args[0]} is not set; Lambda sets it for a function with a role."
        ) from None
