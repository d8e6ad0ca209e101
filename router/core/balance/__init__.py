"""Load balancing: metrics of each target, strategies, and the balancer that holds them together."""
