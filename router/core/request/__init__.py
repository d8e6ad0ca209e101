"""The life of one request: attempts, hedges, deadlines, and what a reply says."""
