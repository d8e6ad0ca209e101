"""The HTTP/1.1 server of functions on AWS and Google: uvicorn's protocol class, as its option `http`."""
