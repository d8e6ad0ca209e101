"""Sizes of a package against the limits of its cloud, before anything is deployed.

- Lambda: 250 MB unpacked, layers included, and no limit for the zip, since it comes from a bucket
  (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; 50 MB hold for a direct upload). The API
  refuses at 262144000 bytes. Its 4 KB for the environment: infra/config/lambda_limits.py.
- Azure Flex Consumption: no document limits a package. An instance has 0.8 GB of temporary storage
  (learn.microsoft.com/azure/azure-functions/functions-scale#service-limits): a larger package has no place.
- Cloud Run functions: none; the 100 MB of sources and 500 MB with modules are those of the 1st generation
  (cloud.google.com/functions/quotas, "Max deployment size").

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infra.config.model import Cloud
from skyfleet.contract import AGENT_FOLDER

MB = 2**20
# A release of the Web Adapter is one binary of 5 MB; the next one may be twice as large.
LAYER_BYTES = 10 * MB
LIMITS: Mapping[Cloud, int] = {"aws": 250 * MB - LAYER_BYTES, "azure": 800 * 10**6}
WHAT: Mapping[Cloud, str] = {
    "aws": "250 MB unpacked, 10 MB of which are kept for the adapter's layer",
    "azure": "800 MB unpacked, the temporary storage of an instance",
}
SHOWN = 5
# A build reads the agent's files into memory: a folder of data sets is found before that.
MOST_BYTES = 2 * 10**9

REMEDY = "Leave files out with .skyfleetignore in the agent's folder, or fetch them when it starts."

# Name in the package and bytes.
Sizes = Iterable[tuple[str, int]]


def excess(kind: str, packages: Mapping[Cloud, Sequence[tuple[str, int]]]) -> str:
    """What is too large, with the biggest parts of the largest package; empty if all fit."""
    totals: dict[Cloud, int] = {cloud: sum(size for _, size in sizes) for cloud, sizes in packages.items()}
    over: list[Cloud] = [cloud for cloud in totals if totals[cloud] > LIMITS.get(cloud, totals[cloud])]
    if not over:
        return ""
    lines = [f"  - {cloud}: {megabytes(totals[cloud])}; at most {WHAT[cloud]}" for cloud in over]
    largest = max(over, key=lambda cloud: totals[cloud])
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in biggest(packages[largest]))
    return "\n".join(
        [
            f"The {kind}'s package is too large; nothing was changed:",
            *lines,
            f"Its biggest parts: {parts}.",
            REMEDY,
        ]
    )


def unreadable(sizes: Sequence[tuple[str, int]]) -> str:
    """Why the files of an agent are not even read; empty if they are."""
    total = sum(size for _, size in sizes)
    if total <= MOST_BYTES:
        return ""
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in biggest(sizes))
    return (
        f"The agent's files have {megabytes(total)}, more than the 2 GB that a build reads; nothing "
        f"was changed. Their biggest parts: {parts}.\n{REMEDY}"
    )


def biggest(sizes: Sizes, shown: int = SHOWN) -> list[tuple[str, int]]:
    """The largest parts: folders and files of the agent's folder, and each dependency; from 1 % on."""
    parts: dict[str, int] = {}
    for name, size in sizes:
        part = part_of(name)
        parts[part] = parts.get(part, 0) + size
    total = sum(parts.values())
    counted = [(part, size) for part, size in parts.items() if size * 100 >= total]
    return sorted(counted, key=lambda each: (-each[1], each[0]))[:shown]


def part_of(name: str) -> str:
    """The part that a file of a package counts for, as the user knows it."""
    inside = name.removeprefix(f"{AGENT_FOLDER}/")
    own = inside != name or name.startswith("functions/")
    pieces = (
        inside.partition("site-packages/")[2].split("/") if "/site-packages/" in name else inside.split("/")
    )
    depth = 2 if own else 1
    return "/".join(pieces) if len(pieces) <= depth else f"{'/'.join(pieces[:depth])}/"


def megabytes(size: int) -> str:
    return f"{size / MB:.1f} MB"
