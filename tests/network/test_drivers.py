"""The contract of network drivers, on each."""

import pytest

from podling.linux.nft import Nft
from podling.network.base import Host, Names
from podling.network.bridge import Bridge
from podling.network.firewall import Firewall
from podling.network.macvlan import Macvlan
from podling.network.plain import Plain
from podling.testing.network_contract import DriverContract


@pytest.mark.root
class TestBridge(DriverContract):
    @pytest.fixture
    def driver(self, netns):
        nft = Nft(netns)
        names = Names("7e57")
        yield Bridge(Host(names, nft, netns), Firewall(nft, names))
        nft.close()


@pytest.mark.root
class TestMacvlan(DriverContract):
    """On an interface of the host; the networks of the contract name none, so this one does."""

    @pytest.fixture
    def driver(self, netns, outside):
        class OnUplink(Macvlan):
            def parent_of(self, network):
                return "uplink"

        return OnUplink(Host(Names("7e57"), Nft(netns), netns))


@pytest.mark.root
class TestPlain(DriverContract):
    @pytest.fixture
    def driver(self):
        return Plain()
