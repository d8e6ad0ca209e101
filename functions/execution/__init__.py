"""How the user's code runs in an instance: its loop, its lifespan, synchronous agents, blocked loops."""
