"""The simulated fleet: targets, their faults, and checkers."""
