"""The admin API of the emulated clouds' daemon, as `emulator.json` announces it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.cli import json_access
from infra.cli.errors import EmulatorFailed
from infra.cli.http import session
from infra.cli.json_access import JsonObject

# Loopback and no work behind most calls; setting a fault may have to stop instances.
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class EmulatorInfo:
    """What the daemon says about itself. providers: value of PULUMI_DEBUG_PROVIDERS; python: runs the
    functions.
    """

    pid: int
    admin: str
    token: str = field(repr=False)
    providers: str
    python: str


def parse_info(text: str) -> EmulatorInfo | None:
    """`emulator.json`, None when it is not whole."""
    told = json_access.as_object(json_access.parse(text))
    pid, admin, token = told.get("pid"), told.get("admin"), told.get("token")
    if not isinstance(pid, int) or not isinstance(admin, str) or not isinstance(token, str):
        return None
    return EmulatorInfo(
        pid, admin, token, json_access.string(told.get("providers")), json_access.string(told.get("python"))
    )


def call(note: EmulatorInfo, method: str, path: str, body: Mapping[str, object] | None = None) -> JsonObject:
    """One request; EmulatorFailed when it is refused (with the daemon's own words) or not answered."""
    import requests

    with session(note.admin) as http:
        try:
            reply = http.request(
                method,
                f"{note.admin}{path}",
                json=None if body is None else dict(body),
                headers={"authorization": f"Bearer {note.token}"},
                timeout=TIMEOUT_S,
            )
        except requests.RequestException as error:
            raise EmulatorFailed(
                f"the emulated clouds (pid {note.pid}) do not answer {method} {path}: "
                f"{type(error).__name__}. `make up` starts them again if need be."
            ) from None
    answer = json_access.as_object(json_access.parse(reply.text))
    if reply.status_code >= 400:
        said = json_access.string(json_access.as_object(answer.get("error")).get("message"), reply.text[:300])
        raise EmulatorFailed(f"the emulated clouds refused {method} {path} ({reply.status_code}): {said}")
    return answer


def healthy(note: EmulatorInfo) -> bool:
    """Whether the daemon answers."""
    try:
        call(note, "GET", "/v1/health")
    except EmulatorFailed:
        return False
    return True
