"""The routers of a deployed stack over HTTP: health, status, calls, and the control document."""
