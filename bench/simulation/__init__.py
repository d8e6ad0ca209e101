"""A discrete-event simulation that drives the router's own core, and the rivals it is compared with."""
