"""Access: tokens, roles, origins, rate limits, audit log."""
