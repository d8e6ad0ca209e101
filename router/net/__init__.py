"""HTTP/1.1 on the wire: connections, their pool, header fields and the server side of an exchange."""
