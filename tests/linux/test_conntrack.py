"""Forgetting UDP flows, in a network namespace of the test."""

import socket

import pytest

from podling.linux.conntrack import forget_udp
from podling.linux.namespace import run_in
from podling.linux.netlink import NETLINK_NETFILTER, Netlink
from podling.linux.nft import Nft

pytestmark = pytest.mark.root


async def test_flows_to_a_port_are_forgotten_others_stay(netns):
    nft = Nft(netns)
    # A rule that looks at connections turns tracking on.
    await nft.apply(
        "table inet t { chain c { type filter hook output priority 0; ct state new counter; }; }".replace("0; ct", "0;\nct")
    )

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for host, port in (("127.0.0.1", 5300), ("127.0.0.2", 5300), ("127.0.0.1", 5301)):
                sender.sendto(b"?", (host, port))

    run_in(netns, send)
    with Netlink(netns, NETLINK_NETFILTER) as net:
        assert forget_udp(net, 5300, "127.0.0.2") == 1
        assert forget_udp(net, 5300) == 1
        assert forget_udp(net, 5300) == 0
        assert forget_udp(net, 5301) == 1
    nft.close()
