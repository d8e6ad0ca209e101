"""What routers and checkers are told of their fleet in their environment, and whether Lambda has room for it.

Lambda alone ends an environment as a whole. Google ends each variable, at 32 KiB, which is more than all
regions there are need (a test says so); Azure documents no end. A checker runs in every cloud of a fleet, so
a fleet with agents on AWS meets the limit also when its routers are elsewhere.

Pure. The URLs of targets are not known before the deploy: the longest form that each cloud gives counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from infra.component import Place, compact
from infra.config.validation import Mistakes

if TYPE_CHECKING:
    from infra.config.parse import Checks, Settings, Target

Knowing = Literal["router", "checker"]

LAMBDA_BYTES = 4096
PROJECT_NUMBER_DIGITS = 13  # of a Google project; 12 in most
# All other variables on AWS: the Web Adapter's, the place, the fleet, the role, the secret's ARN; a router's
# bucket, strategy and key hash besides. With the longest names a stack can have; a test measures them.
REST_BYTES: Mapping[Knowing, int] = {"router": 785, "checker": 640}


def target_list(targets: Sequence[Target], urls: Sequence[str], *, repeatable: bool) -> str:
    """SKYFLEET_TARGETS: the agents a router chooses from, as JSON."""
    return compact(
        [
            {
                "cloud": target.place.cloud,
                "region": target.place.region,
                "url": url,
                "weight": target.weight,
                "repeatable": repeatable,
                **({} if target.price is None else {"price": target.price}),
            }
            for target, url in zip(targets, urls, strict=True)
        ]
    )


def check_plan(checks: Checks) -> str:
    """SKYFLEET_CHECK: a checker's rounds, as JSON."""
    return compact(
        {
            "probes": checks.probes,
            "apartS": checks.apart_s,
            "timeoutS": checks.timeout_s,
            "coldTimeoutS": checks.cold_timeout_s,
        }
    )


def need_room(mistakes: Mistakes, settings: Settings) -> None:
    """A mistake when the list of targets does not fit into a function on AWS."""
    if "aws" not in settings.clouds:
        return
    routed = any(place.cloud == "aws" for place in settings.routers)
    checker = most_targets(settings, "checker")
    most = min(checker, most_targets(settings, "router")) if routed else checker
    count = len(settings.targets)
    if count <= most:
        return
    role: Knowing = "router" if routed and most < checker else "checker"
    others = ", ".join(cloud for cloud in settings.clouds if cloud != "aws")
    instead = f"; or no router on AWS (skyfleet:router.clouds: [{others}]), which leaves room for {checker}"
    mistakes.add(
        "skyfleet:clouds",
        f"{count} regions in all",
        f"at most {most} like these: the {role} on AWS gets the list of all targets in its environment, "
        f"which Lambda ends at {LAMBDA_BYTES} bytes ({count} regions need up to {needed(settings, role)})",
        f"fewer regions{instead if others and role == 'router' else ''}",
    )


def needed(settings: Settings, role: Knowing) -> int:
    """Bytes of such a function's whole environment on AWS, at most."""
    return _without_targets(settings, role) + sum(_entries(settings, role))


def most_targets(settings: Settings, role: Knowing) -> int:
    """How many targets such a function on AWS can be told of; those with the longest entries count first."""
    left = LAMBDA_BYTES - _without_targets(settings, role)
    longest = sorted(_entries(settings, role), reverse=True)
    return sum(size <= left for size in accumulate(longest))


def longest_url(settings: Settings, place: Place, role: str = "agent") -> str:
    """A URL as long as the longest that this place gives; the emulator's have its suffix and a port."""
    host = _longest_host(settings, place, role)
    return f"http://{host}.localhost:32000" if settings.local else f"https://{host}"


def _longest_host(settings: Settings, place: Place, role: str) -> str:
    name, region = f"{settings.prefix}-{role}", place.region
    if place.cloud == "aws":
        return f"{'x' * 32}.lambda-url.{region}.on.aws"
    if place.cloud == "azure":  # a site's name has 60 characters at most; a hash and the region may follow
        site = f"{name}-{region}-{'x' * 8}"[:60]
        return f"{site}-{'x' * 16}.{region}-01.azurewebsites.net"
    # Google: SERVICE-PROJECTNUMBER.REGION.run.app where the first part has 63 characters at most, which our
    # names keep; else a shorter one with a hash. cloud.google.com/run/docs/triggering/https-request
    return f"{name}-{'1' * PROJECT_NUMBER_DIGITS}.{region}.run.app"


def _entries(settings: Settings, role: Knowing) -> list[int]:
    """Bytes of each target's entry and the comma after it."""
    sizes: list[int] = []
    for target in settings.targets:
        told = target if role == "router" else replace(target, weight=1, price=None)
        text = target_list([told], [longest_url(settings, target.place)], repeatable=False)
        sizes.append(_quoted(text.removeprefix("[").removesuffix("]")) + 1)
    return sizes


def _without_targets(settings: Settings, role: Knowing) -> int:
    if role == "router":
        return REST_BYTES[role] + _quoted(compact(settings.policy))
    urls = [longest_url(settings, place, "router") for place in settings.routers]
    return REST_BYTES[role] + _quoted(compact(urls)) + _quoted(check_plan(settings.checks))


def _quoted(text: str) -> int:
    """Bytes of a value inside the JSON that Lambda measures, its quotation marks left out."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
