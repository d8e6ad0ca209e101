"""Verifies AWS Signature Version 4, for S3 and Secrets Manager. Pure; time is an argument.

Source: AWS `reference_sigv-create-signed-request`. A refusal says which part failed, as AWS does, without a
secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote

from emulator.services.identity import Denied, Identities

SKEW_S = 900  # AWS: 15 minutes (5 for most services; S3 allows 15)
UNSIGNED = "UNSIGNED-PAYLOAD"
FIELDS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^, ]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that a signature covers. target: raw path and query; headers:
    lower-case names.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def verify(request: Signed, service: str, identities: Identities, now: float) -> str:
    """The principal that signed `request`. Raises Denied."""
    found = FIELDS.fullmatch(request.headers.get("authorization", "").strip())
    if found is None:
        raise Denied("MissingAuthenticationToken", "Request is missing Authentication Token")
    if found["service"] != service:
        raise Denied("SignatureDoesNotMatch", f"Credential should be scoped to service {service!r}.")
    principal, credentials = identities.aws(found["key"])
    token = request.headers.get("x-amz-security-token", "")
    if not hmac.compare_digest(token.encode(), credentials.token.encode()):
        raise Denied("InvalidToken", "The provided token is malformed or otherwise invalid.")
    signed = found["headers"].split(";")
    missing = {"host", "x-amz-date", "x-amz-security-token"} - set(signed)
    if missing:
        raise Denied("SignatureDoesNotMatch", f"Headers not signed: {', '.join(sorted(missing))}")
    date = request.headers.get("x-amz-date", "")
    _check_time(date, found["date"], now)
    scope = f"{found['date']}/{found['region']}/{service}/aws4_request"
    text = "\n".join(
        ("AWS4-HMAC-SHA256", date, scope, _sha256(_canonical(request, signed, service).encode()))
    )
    key = _key(credentials.secret, found["date"], found["region"], service)
    if not hmac.compare_digest(_hmac(key, text).hex(), found["signature"]):
        raise Denied("SignatureDoesNotMatch", "The request signature we calculated does not match yours.")
    return principal


def _check_time(date: str, day: str, now: float) -> None:
    try:
        at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Denied("IncompleteSignature", "x-amz-date is not a time like 20261122T170000Z") from None
    if date[:8] != day or abs(at - now) > SKEW_S:
        raise Denied(
            "RequestTimeTooSkewed", "The difference between request time and current time is too large."
        )


def _canonical(request: Signed, signed: list[str], service: str) -> str:
    path, _, query = request.target.partition("?")
    # Every service except S3 encodes the path once more.
    path = quote(unquote(path) if service == "s3" else path, safe="/-_.~")
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    payload = _sha256(request.body)
    claimed = request.headers.get("x-amz-content-sha256", payload)
    if claimed not in (payload, UNSIGNED):
        raise Denied(
            "XAmzContentSHA256Mismatch", "The provided x-amz-content-sha256 does not match the body.", 400
        )
    lines = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed]
    return "\n".join(
        (
            request.method,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(lines),
            ";".join(signed),
            claimed,
        )
    )


def _key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
