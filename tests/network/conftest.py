"""A host of its own for each test, and sandboxes in it."""

import pytest

from podling.linux import route
from podling.linux.netlink import Netlink
from podling.network.base import Sandbox
from podling.network.networks import Networks
from podling.testing import traffic

outside, serve, ask = traffic.outside, traffic.serve, traffic.ask


@pytest.fixture
async def networks(tmp_path, netns):
    made = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def sandbox(make_netns):
    """Make a sandbox: a network namespace with a name."""

    def make(name):
        return Sandbox((name.encode().hex() * 64)[:64], name, make_netns(name))

    return make


@pytest.fixture
def routes_of():
    def get(netns):
        with Netlink(netns) as there:
            return route.listed(there)

    return get
