"""The failover scoreboard: the same targets, faults and load for this router and its peers."""
