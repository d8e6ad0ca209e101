# pyright: reportMissingModuleSource=false
"""What most people write first: functions-framework's own server (Flask) and `requests`.

Fair to both: one session whose connections are kept, the proxy's own headers left out, bodies passed whole.
"""

from __future__ import annotations

import itertools
import json
import os

import flask
import functions_framework
import requests
from requests.adapters import HTTPAdapter

_TARGETS = itertools.cycle([target["url"] for target in json.loads(os.environ["SKYFLEET_TARGETS"])])
_SESSION = requests.Session()
_SESSION.trust_env = False  # else every request looks for proxies and a .netrc
_SESSION.mount("http://", HTTPAdapter(pool_maxsize=64))
_STOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_STOP_BACK = _STOP | {"date", "server", "content-encoding"}


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """Every path and method."""
    reply = _SESSION.request(
        request.method,
        next(_TARGETS) + request.full_path.rstrip("?"),
        headers={name: value for name, value in request.headers if name.lower() not in _STOP},
        data=request.get_data(),
        timeout=30,
    )
    headers = [(name, value) for name, value in reply.headers.items() if name.lower() not in _STOP_BACK]
    return flask.Response(reply.content, reply.status_code, headers)
