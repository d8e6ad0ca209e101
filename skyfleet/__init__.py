"""What the agent, the router and the checker all carry. It imports nothing else of this project."""
