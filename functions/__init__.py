"""What runs everywhere: the agent, the ASGI application around it and the three vendors' runtimes."""

import time

# The first line of ours that a new instance runs; `init_ms` of /health counts from here.
IMPORTED_AT = time.perf_counter()
