"""Write docs/whose-fault.md: `python -m tests.whose_fault`."""

from tests.whose_fault.page import write

write()
