"""The stack config as the desired state: what a change makes of it, compare-and-set by its version."""
