"""Settings of every test."""

from hypothesis import settings

# A shared machine is slow now and then, and no test asserts a time.
settings.register_profile("earshot", deadline=None)
settings.load_profile("earshot")
