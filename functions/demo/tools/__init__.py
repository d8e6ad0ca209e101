"""The tools of the default agent, the same for its own rules and for a model."""
