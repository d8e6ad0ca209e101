"""OpenAI's official client for Node.js, from npm: tests call each router with it.

6.49.0 is the last that runs on Node 20; 7.0.0 and newer need Node 22.
"""

from __future__ import annotations

from infra.setup.extras.npm import NpmPackage

PACKAGE = NpmPackage("openai-node", "openai", "6.49.0", "node_modules/openai/index.mjs", least_node=20)
OPENAI_NODE = PACKAGE.tool
