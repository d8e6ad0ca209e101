"""AWS Secrets Manager: GetSecretValue over its JSON 1.1 protocol, with a checked signature and grant."""

from __future__ import annotations

import json
from typing import cast

from emulator.services.identity import Denied
from emulator.services.services import ServiceRequest, ServiceResponse, Services
from emulator.services.sigv4 import Signed, verify

JSON = {"content-type": "application/x-amz-json-1.1"}
TARGET = "secretsmanager."


def handle(request: ServiceRequest, services: Services) -> ServiceResponse:
    """One request to Secrets Manager."""
    try:
        signed = Signed(request.method, request.target, request.headers, request.body)
        principal = verify(signed, "secretsmanager", services.identities, services.now())
        return _get(request, services, principal)
    except Denied as denied:
        code = "AccessDeniedException" if denied.code == "AccessDenied" else denied.code
        return _error(400, code, denied.message)


def _error(status: int, code: str, message: str) -> ServiceResponse:
    return ServiceResponse(status, JSON, json.dumps({"__type": code, "message": message}).encode())


def _get(request: ServiceRequest, services: Services, principal: str) -> ServiceResponse:
    operation = request.headers.get("x-amz-target", "").removeprefix(TARGET)
    if operation != "GetSecretValue":
        return _error(400, "UnknownOperationException", f"{operation or 'nothing'} is not emulated")
    try:
        found: object = json.loads(request.body or b"{}")
    except ValueError:
        return _error(400, "SerializationException", "the body is not JSON")
    wanted = str(cast("dict[str, object]", found).get("SecretId", "")) if isinstance(found, dict) else ""
    services.require(principal, "secret:read", wanted)
    value = services.desired().secrets.get(wanted)
    if value is None:
        return _error(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    answer = {
        "ARN": wanted,
        "Name": wanted.rpartition(":")[2],
        "SecretString": value,
        "VersionStages": ["AWSCURRENT"],
    }
    return ServiceResponse(200, JSON, json.dumps(answer).encode())
