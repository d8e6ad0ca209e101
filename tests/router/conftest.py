"""Settings of the property tests: no deadline for one example, since machines that build are busy."""

from hypothesis import settings

settings.register_profile("router", deadline=None)
settings.load_profile("router")
