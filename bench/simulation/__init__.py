"""A discrete-event simulation that drives the router's own core, and the baselines it is compared with."""
