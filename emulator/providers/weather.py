"""Bad days of a cloud's management API: for some time it answers calls with 429 or 5xx, whatever is asked.

The rule of this file: it says what the API answers and for how long the vendor's Pulumi provider repeats a
call; the functions themselves go on (their faults: `hosts/faults.py`).

How long the real providers repeat a call:
- AWS: `max_retries` is 25 by default (registry.terraform.io/providers/hashicorp/aws), with a backoff of at
  most 20 s (aws-sdk-go-v2, aws/retry: DefaultMaxBackoff): some 400 s.
- Azure: azcore's retry policy, 3 retries that begin with 0.8 s (azure-sdk-for-go, sdk/azcore/policy,
  RetryOptions); 408, 429 and 5xx are worth one (pulumi-azure-native, provider/pkg/azure/client_azcore.go).
- Google: the retrying transport gives up after 90 s (terraform-provider-google, transport/retry_transport.go,
  defaultRetryTransportTimeoutSec).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.desired.state import Cloud
from emulator.errors import NotYet

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
class Storm:
    """Every call is answered with `status` until `until` (unix seconds)."""

    status: int
    until: float


@dataclass(slots=True)
class Weather:
    """The storms that pass now, by the package of the cloud's provider."""

    storms: dict[str, Storm] = field(default_factory=dict[str, Storm])

    def begin(self, cloud: Cloud, status: int, until: float) -> None:
        """status: one of STATUSES."""
        self.storms[PACKAGES[cloud]] = Storm(status, until)

    def end(self, cloud: Cloud) -> None:
        """The API answers again."""
        self.storms.pop(PACKAGES[cloud], None)

    def refuse(self, package: str, now: float) -> None:
        """NotYet while the API of this provider's cloud has a bad day."""
        storm = self.storms.get(package)
        if storm is not None and now < storm.until:
            said = f"the cloud's management API answered {storm.status}; it may answer again in some minutes"
            raise NotYet(STATUSES[storm.status], said, RETRIED_S[package])

    def told(self, now: float) -> dict[str, dict[str, float]]:
        """cloud -> status and seconds left, of those that have a bad day."""
        found = {cloud: self.storms.get(package) for cloud, package in PACKAGES.items()}
        return {
            cloud: {"status": storm.status, "seconds_left": round(storm.until - now, 1)}
            for cloud, storm in found.items()
            if storm is not None and now < storm.until
        }
