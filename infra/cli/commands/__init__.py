"""One command a file. A command reads its arguments, calls the other packages, and prints."""
