"""The routers of the board, each set up as well as its own documents allow."""
