"""What the tests' HTTP clients trust: no certificate, for they speak plain HTTP on loopback.

Without a context of its own, each client of httpx reads all root certificates again. That takes more CPU time
than the requests of most tests.
"""

from __future__ import annotations

import ssl
from typing import Final

# For `verify` of httpx: a server with TLS is refused.
NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
