"""What HTTP/1.1 looks like behind this router, beside nginx and HAProxy."""
