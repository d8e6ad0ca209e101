"""Requests with an `Idempotency-Key`: run at most once per cloud, and repeats get the stored reply.

functions/app.py imports this package at the first such request, which keeps it out of the cold start.
"""
