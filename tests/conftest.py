"""Settings of every test."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shared machine is slow now and then, and no test asserts a time.
settings.register_profile("earshot", deadline=None)
settings.load_profile("earshot")


@pytest.fixture(autouse=True)
def the_umask_stays() -> Iterator[None]:
    """The command line sets one for its process, which here is that of all tests."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
