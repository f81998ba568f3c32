"""An API server to talk to."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from podling.testing.apiserver import Api, Served, in_process


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with in_process() as api:
        yield api


@pytest.fixture
def pod() -> dict[str, Any]:
    """A pod that is allowed to be created."""
    container = {"name": "main", "image": "busybox"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("apiserver")) as served:
        yield served
