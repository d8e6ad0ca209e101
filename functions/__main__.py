"""`python -m functions module:attribute`: check whether an agent can be deployed. A deploy runs this first.

Prints one JSON object: {"agent", "kind", "repeatable"}, exit 0; or {"error": {"code", "message"}}, exit 1.
"""

from __future__ import annotations

import json
import sys

from functions.errors import AgentNotLoaded
from functions.loading import load
from functions.settings import DEFAULT_AGENT


def main(reference: str) -> int:
    """Print the result of the check; returns the exit code."""
    try:
        agent = load(reference)
    except AgentNotLoaded as error:
        print(json.dumps({"error": {"code": error.code, "message": str(error)}}))  # noqa: T201
        return 1
    print(json.dumps({"agent": reference, "kind": agent.kind.value, "repeatable": agent.repeatable}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_AGENT))
