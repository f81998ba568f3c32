"""What all tests share: what they start, they end."""

import os
from collections.abc import Iterator

import pytest

from podling.testing.leaks import Snapshot


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """After the last test the machine has the mounts, namespaces, links, tables, cgroups and monitors that it had before."""
    if os.geteuid() != 0:
        yield
        return
    before = Snapshot.take()
    yield
    assert not (left := Snapshot.take().beyond(before)), "\n".join(left)
