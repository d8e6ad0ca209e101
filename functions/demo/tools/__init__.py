"""The tools of the demo agent, for its rules and for a model."""
