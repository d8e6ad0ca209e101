"""What is simulated, and the figures of each run."""
