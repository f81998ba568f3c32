"""What all tests share: what they start, they end."""

import os

import pytest

from podling.testing.leaks import Snapshot

_BEFORE = pytest.StashKey[Snapshot]()


def _leads(config: pytest.Config) -> bool:
    """Whether this process sees all tests begin and end; a worker of pytest-xdist does not."""
    return os.geteuid() == 0 and not hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    if _leads(session.config):
        session.stash[_BEFORE] = Snapshot.take()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the last test the machine has the mounts, namespaces, links, tables, cgroups and monitors that it had before."""
    if (before := session.stash.get(_BEFORE, None)) and (left := Snapshot.take().beyond(before)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nleft behind:", *left, sep="\n  ")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the kernel side may have one more try, on a machine that gave it no time; the summary names it (`-rR`)."""
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.flaky(reruns=1))
