"""Size of the environment that routers and checkers get, and Lambda's limit on it.

Lambda limits the environment as a whole, to 4 KiB. Google limits each variable, to 32 KiB, which holds every
region (tests/infra/config/test_lambda_limits.py); Azure documents no limit. A checker runs in every cloud of
a fleet, so a fleet with agents on AWS meets the limit even if its routers run elsewhere.

Pure. The targets' URLs are unknown before the deployment: the longest form that each cloud gives counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Literal

from infra.config.environment import check_value, compact, targets_value
from infra.config.model import Place, Settings
from infra.config.validation import Validator
from skyfleet import contract

# The roles that get the list of targets.
ListedRole = Literal["router", "checker"]

LAMBDA_BYTES = 4096
PROJECT_NUMBER_DIGITS = 13  # of a Google project; 12 in most
# All other variables on AWS: the Web Adapter's, the place, the fleet, the role and the secret's ARN; for a
# router also the bucket, the strategy and the key hash. With the longest names; a test measures it.
FIXED_BYTES: Mapping[ListedRole, int] = {"router": 785, "checker": 640}
FORMER_KEY_BYTES = 65  # a comma and the hash of the former API key


def check_environment_size(validator: Validator, settings: Settings) -> None:
    """An error if the list of targets does not fit into the environment of a function on AWS."""
    if "aws" not in settings.clouds:
        return
    routed = any(place.cloud == "aws" for place in settings.routers)
    checker = max_targets(settings, "checker")
    most = min(checker, max_targets(settings, "router")) if routed else checker
    count = len(settings.targets)
    if count <= most:
        return
    role: ListedRole = "router" if routed and most < checker else "checker"
    others = ", ".join(cloud for cloud in settings.clouds if cloud != "aws")
    instead = f"; or no router on AWS (skyfleet:router.clouds: [{others}]), which allows {checker}"
    validator.error(
        "skyfleet:clouds",
        f"{count} regions in all",
        f"at most {most} like these: the {role} on AWS gets the list of all targets in its environment, "
        f"which Lambda limits to {LAMBDA_BYTES} bytes ({count} regions need up to "
        f"{environment_bytes(settings, role)})",
        f"fewer regions{instead if others and role == 'router' else ''}",
    )


def environment_bytes(settings: Settings, role: ListedRole) -> int:
    """Upper bound of the bytes of the whole environment of a function of this role on AWS."""
    return _base_bytes(settings, role) + sum(_entry_bytes(settings, role))


def max_targets(settings: Settings, role: ListedRole) -> int:
    """How many targets fit into the environment of this role on AWS; the longest entries count first."""
    left = LAMBDA_BYTES - _base_bytes(settings, role)
    longest = sorted(_entry_bytes(settings, role), reverse=True)
    return sum(size <= left for size in accumulate(longest))


def longest_url(settings: Settings, place: Place, role: str = "agent") -> str:
    """A URL as long as the longest of this place; the emulator's URLs have its suffix and a port."""
    host = _longest_host(settings, place, role)
    return f"http://{host}.localhost:32000" if settings.emulated else f"https://{host}"


def _longest_host(settings: Settings, place: Place, role: str) -> str:
    name, region = f"{settings.prefix}-{role}", place.region
    if place.cloud == "aws":
        return f"{'x' * 32}.lambda-url.{region}.on.aws"
    if place.cloud == "azure":  # a site's name has at most 60 characters; a hash and the region follow
        site = f"{name}-{region}-{'x' * 8}"[:60]
        return f"{site}-{'x' * 16}.{region}-01.azurewebsites.net"
    # Google: SERVICE-PROJECTNUMBER.REGION.run.app if the first part has at most 63 characters, as ours has;
    # otherwise a shorter form with a hash. cloud.google.com/run/docs/triggering/https-request
    return f"{name}-{'1' * PROJECT_NUMBER_DIGITS}.{region}.run.app"


def _entry_bytes(settings: Settings, role: ListedRole) -> list[int]:
    """Bytes of each target's entry and the comma after it."""
    sizes: list[int] = []
    for target in settings.targets:
        listed = target if role == "router" else replace(target, weight=1, price=None)
        text = targets_value([listed], [longest_url(settings, target.place)], repeatable=False)
        sizes.append(_json_bytes(text.removeprefix("[").removesuffix("]")) + 1)
    return sizes


def _base_bytes(settings: Settings, role: ListedRole) -> int:
    if role == "router":
        optional = {
            contract.CHECKERS: ",".join(map(str, settings.checkers)),
            contract.PUBLIC_URL: settings.public_url,
            contract.CORS_ORIGINS: compact(settings.cors_origins) if settings.cors_origins else None,
        }
        more = sum(len(f'"{name}":"",') + _json_bytes(value) for name, value in optional.items() if value)
        more += FORMER_KEY_BYTES if settings.api_key_generation > 1 else 0
        return FIXED_BYTES[role] + _json_bytes(compact(settings.policy)) + more
    urls = [longest_url(settings, place, "router") for place in settings.routers]
    return FIXED_BYTES[role] + _json_bytes(compact(urls)) + _json_bytes(check_value(settings.checks))


def _json_bytes(text: str) -> int:
    """Bytes of a value inside the JSON that Lambda measures, without its quotation marks."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
