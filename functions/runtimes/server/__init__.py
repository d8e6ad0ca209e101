"""The HTTP/1.1 server of functions: on AWS all of it, on Google the connections of uvicorn's."""
