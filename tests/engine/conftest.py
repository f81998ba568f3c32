from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podling.engine.engine import Engine
from podling.testing.engine import temporary_engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine of the test's own, with busybox; nothing of it is left afterwards."""
    async with temporary_engine(tmp_path) as made:
        yield made
