import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from podling.testing.simulation import Simulation


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=3) as simulation:
        yield simulation


@pytest.fixture(autouse=True)
def nothing_breaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What goes wrong in the background fails the test too."""
    yield
    broken = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not broken
