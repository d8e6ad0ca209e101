"""The rules that pick a target: Skyfleet's balancer and the baselines."""
