"""AWS: what each region needs, and the functions in it."""
