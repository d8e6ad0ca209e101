"""The picture as HTML."""
