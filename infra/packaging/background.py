"""Name the lines of an agent that start work which goes on after its reply, and what each cloud does with it.

Rules
- AWS freezes the sandbox after the reply until its next request, and may end it instead
  (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
- Google takes the CPU away: "disabled or severely limited" (docs.cloud.google.com/run/docs/tips, *Background
  activity*, for request-based billing, which is what is deployed).
- Azure lets the process go on until it removes the instance, of which it does not tell the worker
  (github.com/Azure/azure-functions-python-worker/issues/1521).
- The search is for text: it cannot know whether a task is awaited before the reply. So the line informs and
  refuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from infra.config.model import Cloud
from skyfleet.contract import AGENT_FOLDER as FOLDER

STARTS: Final = re.compile(
    r"\bBackgroundTasks?\b(?!\s+import)|\b(?:Thread|threading\.Timer)\("
    r"|(?:\basyncio|loop(?:\(\))?)\.(?:create_task|ensure_future)\("
)
CLOUDS: Final[Mapping[Cloud, str]] = {
    "aws": "AWS freezes it until the next request and may drop it",
    "azure": "Azure lets it go on until the instance ends",
    "gcp": "Google takes the CPU away from it",
}
# More lines say nothing new.
SHOWN: Final = 3


def told(agent: str, files: Iterable[tuple[str, bytes]], clouds: Sequence[Cloud]) -> str:
    """One line about work after the reply, or empty.

    agent: "module:attribute". files: of its package, by name.
    """
    module = f"{agent.partition(':')[0].replace('.', '/')}.py"
    found = [
        f"{name.removeprefix(f'{FOLDER}/')}:{number}"
        for name, content in files
        if name.endswith(".py") and (name.startswith(f"{FOLDER}/") or name == module)
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1)
        if STARTS.search(line.partition("#")[0]) and not line.lstrip().startswith(("import ", "from "))
    ]
    if not found:
        return ""
    more = "" if len(found) <= SHOWN else f" and {len(found) - SHOWN} more"
    does = "; ".join(CLOUDS[cloud] for cloud in clouds)
    return (
        f"work that goes on after a reply ({', '.join(found[:SHOWN])}{more}): {does}. "
        "What must be done belongs before the end of the reply (docs/agent.md)."
    )
