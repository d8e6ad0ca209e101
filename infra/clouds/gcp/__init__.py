"""Google Cloud: what each region needs, and the functions in it."""
