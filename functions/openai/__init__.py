"""OpenAI's chat completions: image parts of a request, and completions and their chunks."""
