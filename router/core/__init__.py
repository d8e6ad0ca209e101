"""The router's decisions: pure functions and values. Nothing here reads a clock, the network or a file."""
