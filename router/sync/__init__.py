"""What router instances share through the bucket of their cloud."""
