"""A client of the emulator's admin API. The daemon writes its address and token to `emulator.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.operations import json_access
from infra.operations.errors import EmulatorFailed
from infra.operations.http import session
from infra.operations.json_access import JsonObject

# Most calls take milliseconds; to set a fault the daemon may have to stop instances.
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class EmulatorInfo:
    """The content of `emulator.json`.

    admin: URL of the admin API. providers: value of PULUMI_DEBUG_PROVIDERS. python: the interpreter of the
    functions.
    """

    pid: int
    admin: str
    token: str = field(repr=False)
    providers: str
    python: str


def parse_info(text: str) -> EmulatorInfo | None:
    """The content of `emulator.json`, None when it is incomplete."""
    fields = json_access.as_object(json_access.parse(text))
    pid, admin, token = fields.get("pid"), fields.get("admin"), fields.get("token")
    if not isinstance(pid, int) or not isinstance(admin, str) or not isinstance(token, str):
        return None
    return EmulatorInfo(
        pid,
        admin,
        token,
        json_access.string(fields.get("providers")),
        json_access.string(fields.get("python")),
    )


def call(info: EmulatorInfo, method: str, path: str, body: Mapping[str, object] | None = None) -> JsonObject:
    """Send one request and return the JSON reply. Raises EmulatorFailed when it is refused or unanswered."""
    import requests

    with session(info.admin) as http:
        try:
            reply = http.request(
                method,
                f"{info.admin}{path}",
                json=None if body is None else dict(body),
                headers={"authorization": f"Bearer {info.token}"},
                timeout=TIMEOUT_S,
            )
        except requests.RequestException as error:
            raise EmulatorFailed(
                f"the emulated clouds (pid {info.pid}) do not answer {method} {path}: "
                f"{type(error).__name__}. `make up` starts them again."
            ) from None
    answer = json_access.as_object(json_access.parse(reply.text))
    if reply.status_code >= 400:
        message = json_access.string(
            json_access.as_object(answer.get("error")).get("message"), reply.text[:300]
        )
        asked = f"{method} {path} ({reply.status_code})" if reply.status_code >= 500 else "this"
        raise EmulatorFailed(f"the emulated clouds refused {asked}: {message}")
    return answer


def healthy(info: EmulatorInfo) -> bool:
    """Whether the daemon answers its health check."""
    try:
        call(info, "GET", "/v1/health")
    except EmulatorFailed:
        return False
    return True
