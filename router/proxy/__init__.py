"""Carries out on the network what the core decides."""
