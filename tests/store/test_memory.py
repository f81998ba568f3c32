"""The memory driver keeps the store's contract."""

from collections.abc import AsyncIterator

import pytest

from podling.store.memory import MemoryStore
from podling.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryStore]:
        store = MemoryStore()
        yield store
        await store.close()
