"""How the user's code runs in an instance: its lifespan, and synchronous agents in threads."""
