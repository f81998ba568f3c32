"""What every network driver owes: subclass `DriverContract`, give it a `driver` fixture, and pytest runs the suite on it."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from podling.base.errors import InvalidInput
from podling.linux import link
from podling.linux.namespace import remove
from podling.linux.netlink import Netlink
from podling.network.base import Driver, Endpoint, Network, Pool, Rates
from podling.network.ipam import mac_of


def network(number: int = 1, **changes: object) -> Network:
    """A network 10.77.N.0/24."""
    pool = Pool(f"10.77.{number}.0/24", f"10.77.{number}.1")
    return Network(**{"id": f"{number:08x}" * 8, "name": f"net{number}", "driver": "any", "pools": (pool,)} | changes)  # type: ignore[arg-type]


def endpoint(of: Network, number: int, netns: Path, interface: str = "eth0") -> Endpoint:
    """The endpoint .N of a network."""
    subnet = ip_network(of.pools[0].subnet)
    address = f"{subnet[number]}/{subnet.prefixlen}"
    return Endpoint(
        f"{number:08x}" * 8,
        of.id,
        f"{number:064x}",
        f"box{number}",
        str(netns),
        interface=interface,
        device=f"test{number}",
        mac=mac_of(address),
        address=address,
        gateway=of.pools[0].gateway,
        default_route=True,
    )


class DriverContract:
    """Needs the fixtures of `podling.testing.netns` and `podling.testing.traffic`, and `driver`, which acts in `netns`."""

    @pytest.fixture
    def driver(self) -> Driver:
        raise NotImplementedError

    async def test_making_and_removing_are_idempotent(self, driver: Driver, net: Netlink) -> None:
        before = {found.name for found in link.listed(net)}
        for _ in range(2):
            await driver.create(network())
        for _ in range(2):
            await driver.remove(network())
        assert {found.name for found in link.listed(net)} == before

    async def test_removing_what_was_never_made(self, driver: Driver) -> None:
        await driver.remove(network(9))

    async def test_an_attached_endpoint_is_listed_until_it_is_detached(
        self, driver: Driver, netns: Path, make_netns: Callable[[str], Path]
    ) -> None:
        await driver.create(network())
        box = endpoint(network(), 5, make_netns("box"))
        await driver.attach(network(), box)
        assert await driver.attached(network(), [box]) == ({box.device} if driver.addressed else set())
        for _ in range(2):
            await driver.detach(network(), box)
        assert await driver.attached(network(), [box]) == set()
        await driver.remove(network())

    async def test_endpoints_reach_each_other(
        self,
        driver: Driver,
        netns: Path,
        make_netns: Callable[[str], Path],
        serve: Callable[..., None],
        ask: Callable[..., str],
    ) -> None:
        if not driver.addressed:
            pytest.skip("its endpoints have no addresses of their own")
        await driver.create(network())
        one, two = (endpoint(network(), number, make_netns(f"box{number}")) for number in (5, 6))
        for box in (one, two):
            await driver.attach(network(), box)
        serve(Path(two.netns), 80)
        assert ask(Path(one.netns), two.ip, 80) == one.ip

    async def test_limits_are_set_changed_and_lifted(
        self, driver: Driver, netns: Path, make_netns: Callable[[str], Path]
    ) -> None:
        if not driver.addressed:
            with pytest.raises(InvalidInput, match="cannot limit"):
                await driver.limit(network(), endpoint(network(), 5, netns), Rates(egress=1_000_000))
            return
        await driver.create(network())
        box = endpoint(network(), 5, make_netns("box"))
        await driver.attach(network(), box)
        for egress in (1_000_000, 2_000_000, 0, 0):
            await driver.limit(network(), box, Rates(egress=egress))

    async def test_a_failed_attachment_leaves_nothing(
        self, driver: Driver, net: Netlink, make_netns: Callable[[str], Path]
    ) -> None:
        if not driver.addressed:
            pytest.skip("it has nothing to do that could fail")
        await driver.create(network())
        before = {found.name for found in link.listed(net)}
        gone = make_netns("gone")
        remove(gone)
        box = endpoint(network(), 5, gone)
        with pytest.raises(OSError, match="gone"):
            await driver.attach(network(), box)
        assert {found.name for found in link.listed(net)} == before
        assert await driver.attached(network(), [box]) == set()
