"""HTTP/1.1 messages without I/O, read by one strict rule."""
