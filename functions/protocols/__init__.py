"""What the runtime does for agents that are servers of MCP or A2A."""
