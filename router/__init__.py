"""The entrypoint: forwards each request to a target, and checks targets on a schedule."""
