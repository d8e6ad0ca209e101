"""The agent, the ASGI application around it, and the runtimes of the three vendors."""

import time

# The first statement of the project in a new instance; `init_ms` of /health is measured from here.
IMPORTED_AT = time.perf_counter()
