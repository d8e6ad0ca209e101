"""Google's own part of the stack config: the entry `skyfleet:clouds.gcp` beyond what every cloud has.

Pure. The project may stand in the entry or in the provider's config, and must be the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from infra.config.validation import Mistakes

KEYS = ("project", "maxInstances", "public")
# A new project may run 20 vCPU in a region, and Google refuses a function whose instances could need more:
# github.com/googlecodelabs/feedback/issues/1856, firebase-tools issue 11001. Ten instances of one vCPU each
# serve 400 requests at once, and an agent and a router of ten fit into the quota together.
MAX_INSTANCES = 10
MOST_INSTANCES = 1000


@dataclass(frozen=True, slots=True)
class Google:
    """max_instances: of each agent and each router. public: grant `allUsers` the right to call them; without
    it the operator switches Google's check off by hand, which a domain-restricted organisation asks for."""

    project: str
    max_instances: int = MAX_INSTANCES
    public: bool = True


def read_google(mistakes: Mistakes, config: Mapping[str, object], clouds: object) -> Google | None:
    """Google's settings; None where the stack does not use it or has made a mistake with the project."""
    if not isinstance(clouds, Mapping) or "gcp" not in clouds:
        return None
    given = cast("Mapping[str, object]", clouds)["gcp"]
    nothing: Mapping[str, object] = {}
    entry = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else nothing
    project = _project(mistakes, entry.get("project"), config.get("gcp:project"))
    key = "skyfleet:clouds.gcp"
    most = mistakes.number(
        f"{key}.maxInstances",
        entry.get("maxInstances"),
        MAX_INSTANCES,
        least=1,
        most=MOST_INSTANCES,
        example=str(MAX_INSTANCES),
        whole=True,
    )
    public = mistakes.flag(f"{key}.public", entry.get("public"), default=True)
    return Google(project, int(most), public) if project else None


def _project(mistakes: Mistakes, own: object, providers: object) -> str | None:
    project = own if own is not None else providers
    if own is not None and providers is not None and own != providers:
        mistakes.add(
            "skyfleet:clouds.gcp.project",
            f"{own} here and {providers} as gcp:project",
            "the same project in both, or in one of them only",
            str(own),
        )
        return None
    if isinstance(project, str) and re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        return project
    expected = "the id of your Google Cloud project (or set gcp:project)"
    mistakes.add("skyfleet:clouds.gcp.project", project, expected, "my-project-123")
    return None
