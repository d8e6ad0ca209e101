"""Requests with an `Idempotency-Key`: run at most once in one cloud, answered again from its bucket.

Nothing here is imported before the first such request (functions/middleware.py): all others pay nothing.
"""
