"""The pytest plugin: `podling`, a whole podling that the tests of a session share, `simulation`, and fixtures for its parts."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from podling.testing.netns import make_netns, net, netns
from podling.testing.podling import Podling, running_podling

if TYPE_CHECKING:
    from podling.testing.simulation import Simulation

__all__ = ["make_netns", "net", "netns", "podling", "simulation"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `root` are skipped, by name of the privilege, where this process is not root."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: it makes namespaces, mounts and networks"))


@pytest.fixture(scope="session")
def podling() -> Iterator[Podling]:
    """A running podling with the image `busybox:latest`. Each test cleans up what it makes in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes namespaces, mounts and networks")
    with running_podling() as running:
        yield running


@pytest.fixture
def simulation() -> "Simulation":
    """A cluster of three modelled nodes in simulated time, checked at each step: `async with simulation as cluster`."""
    from podling.testing.simulation import Simulation

    return Simulation(nodes=3, checked=True)
