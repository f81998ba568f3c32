"""Fixtures for tests of the network: a namespace where nobody else is, and others beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podling.linux import namespace
from podling.linux.netlink import Netlink


@pytest.fixture
def make_netns(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make a network namespace with `lo` up, kept at a path of the given name. All are gone after the test."""
    made: list[Path] = []

    def make(name: str) -> Path:
        path = tmp_path / f"netns-{name}"
        namespace.create({"net": path}, namespace.loopback_up)
        made.append(path)
        return path

    yield make
    for path in made:
        namespace.remove(path)


@pytest.fixture
def netns(make_netns: Callable[[str], Path]) -> Path:
    """A fresh network namespace with `lo` up, as a path."""
    return make_netns("host")


@pytest.fixture
def net(netns: Path) -> Iterator[Netlink]:
    """A netlink socket in `netns`."""
    with Netlink(netns) as opened:
        yield opened
