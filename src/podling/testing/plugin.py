"""The pytest plugin: `podling`, a whole podling that the tests of a session share, and fixtures for its parts."""

import os
from collections.abc import Iterator

import pytest

from podling.testing.netns import make_netns, net, netns
from podling.testing.podling import Podling, running_podling

__all__ = ["make_netns", "net", "netns", "podling"]


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
