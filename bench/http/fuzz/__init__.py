"""Random bytes against the parsers of requests, bodies and replies."""
