"""What all tests share: what they start, they end."""

import os
from collections.abc import Iterator

import pytest

from podling.testing.leaks import Snapshot

_BEFORE = pytest.StashKey[Snapshot]()


def pytest_sessionstart(session: pytest.Session) -> None:
    if os.geteuid() == 0:
        session.stash[_BEFORE] = Snapshot.take()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the kernel side may have one more try, on a machine that gave it no time; the summary names it (`-rR`)."""
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the last test the machine has the mounts, namespaces, links, tables, cgroups and monitors that it had before."""
    yield
    before = request.session.stash.get(_BEFORE, None)
    if before is None:
        return
    assert not (left := Snapshot.take().beyond(before)), "\n".join(left)
