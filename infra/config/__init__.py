"""The stack's config: reading, checking, and the values that come of it."""
