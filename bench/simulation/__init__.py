"""A discrete-event simulation of the router's core and of the baselines that it is compared with."""
