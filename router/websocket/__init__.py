"""`/ws`: a WebSocket that ends at the router. Imported at the first handshake only."""
