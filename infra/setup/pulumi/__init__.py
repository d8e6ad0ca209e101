"""Where the Pulumi CLI comes from: one on PATH, the official archive, or built from Go modules, in this
order.

Each way is one file with one function that returns a `Cli`, or a `Lack` that says what it lacked. Only
`choose.py` knows the order. What was fetched or built is kept per user, outside the checkout.
"""
