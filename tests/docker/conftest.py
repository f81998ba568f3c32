"""One daemon for all tests of the API; each test leaves it with nothing but the image busybox."""

from collections.abc import Iterator

import pytest

from podling.testing.docker import Docker, running_docker


@pytest.fixture(scope="session")
def daemon() -> Iterator[Docker]:
    with running_docker() as running:
        yield running


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    yield daemon
    daemon.clean()
