"""Outages of a cloud's management API: every call is answered 429 or 5xx for some time.

It defines the answer and how long the vendor's Pulumi provider repeats a call. The functions keep running;
their
faults are in `runtime/faults.py`.

How long the real providers repeat a call:
- AWS: `max_retries` is 25 by default (registry.terraform.io/providers/hashicorp/aws), with a backoff of at
  most 20 s (aws-sdk-go-v2, aws/retry: DefaultMaxBackoff): some 400 s.
- Azure: azcore's retry policy, 3 retries that begin with 0.8 s (azure-sdk-for-go, sdk/azcore/policy,
  RetryOptions), for 408, 429 and 5xx (pulumi-azure-native, provider/pkg/azure/client_azcore.go).
- Google: the retrying transport gives up after 90 s (terraform-provider-google, transport/retry_transport.go,
  defaultRetryTransportTimeoutSec).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.desired.model import Cloud
from emulator.errors import NotYetReady

RETRIED_S: Mapping[str, float] = {"aws": 400.0, "azure-native": 6.0, "gcp": 90.0}
PACKAGES: Mapping[Cloud, str] = {"aws": "aws", "azure": "azure-native", "gcp": "gcp"}
STATUSES: Mapping[int, str] = {
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}
LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Every call is answered with `status` until `until` (unix seconds)."""

    status: int
    until: float


@dataclass(slots=True)
class Outages:
    """The outages, by the package of the cloud's provider. active: may include outages that have ended."""

    active: dict[str, Outage] = field(default_factory=dict[str, Outage])

    def begin(self, cloud: Cloud, status: int, until: float) -> None:
        """Start an outage. status: one of STATUSES; until: unix seconds."""
        self.active[PACKAGES[cloud]] = Outage(status, until)

    def end(self, cloud: Cloud) -> None:
        """End the outage of a cloud."""
        self.active.pop(PACKAGES[cloud], None)

    def refuse(self, package: str, now: float) -> None:
        """Raises NotYetReady while this provider's cloud has an outage."""
        outage = self.active.get(package)
        if outage is not None and now < outage.until:
            said = f"the cloud's management API answered {outage.status}; it may answer again in some minutes"
            raise NotYetReady(STATUSES[outage.status], said, RETRIED_S[package])

    def report(self, now: float) -> dict[str, dict[str, float]]:
        """cloud -> status and seconds left, for each outage at `now`."""
        found = {cloud: self.active.get(package) for cloud, package in PACKAGES.items()}
        return {
            cloud: {"status": outage.status, "seconds_left": round(outage.until - now, 1)}
            for cloud, outage in found.items()
            if outage is not None and now < outage.until
        }
