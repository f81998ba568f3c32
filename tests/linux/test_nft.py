"""nftables: scripts and elements, in a network namespace of the test."""

import contextlib
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import Failed
from podling.linux import nftset
from podling.linux.netlink import Message
from podling.linux.nft import Nft
from podling.linux.nftset import Change, Element, Verdict, pack

TABLE = """
table inet t {
    map services { type ipv4_addr . inet_proto . inet_service : verdict; }
    map ports { type inet_service : ipv4_addr . inet_service; }
    set networks { type ipv4_addr; flags interval; }
    set links { type ifname . ifname; }
    chain web { }
}
"""


@pytest.fixture
async def nft(netns):
    made = Nft(netns)
    await made.apply(TABLE)
    yield made
    made.close()


WEB = Change(True, "services", Element(pack(ip_address("10.96.0.1"), "tcp", 80), Verdict("goto", "web")))


@pytest.mark.root
async def test_elements_are_what_nft_shows(nft):
    port = Element(pack(8080), pack(ip_address("172.17.0.2"), 80))
    nft.change("inet", "t", [WEB, Change(True, "ports", port), Change(True, "links", Element(pack("br0", "br0")))])
    networks = [Change(True, "networks", e) for e in nftset.interval(ip_network("10.1.0.0/16"))]
    nft.change("inet", "t", networks)
    shown = {
        item["set" if "set" in item else "map"]["name"]: item for item in await nft.show("table", "inet", "t") if elements(item)
    }
    assert elements(shown["services"]) == [[{"concat": ["10.96.0.1", "tcp", 80]}, {"goto": {"target": "web"}}]]
    assert elements(shown["ports"]) == [[8080, {"concat": ["172.17.0.2", 80]}]]
    assert elements(shown["networks"]) == [{"prefix": {"addr": "10.1.0.0", "len": 16}}]
    assert elements(shown["links"]) == [{"concat": ["br0", "br0"]}]
    assert nft.elements("inet", "t", "services") == [WEB.element]
    assert nft.elements("inet", "t", "ports") == [port]


def elements(item):
    return item.get("set", item.get("map", {})).get("elem")


@pytest.mark.root
async def test_adding_twice_and_removing_twice_are_no_errors(nft):
    away = Change(False, "services", Element(WEB.element.key))
    other = Change(True, "ports", Element(pack(1), pack(ip_address("10.0.0.1"), 1)))
    nft.change("inet", "t", [WEB])
    nft.change("inet", "t", [WEB])
    nft.change("inet", "t", [away])
    nft.change("inet", "t", [away, other, away])
    assert nft.elements("inet", "t", "services") == []
    assert nft.elements("inet", "t", "ports") == [other.element]


@pytest.mark.root
async def test_a_bad_change_undoes_its_transaction_and_names_the_set(nft):
    with pytest.raises(FileNotFoundError, match="set missing of table inet t"):
        nft.change("inet", "t", [WEB, Change(True, "missing", Element(pack(1)))])
    with pytest.raises(FileNotFoundError, match="set services of table inet gone"):
        nft.change("inet", "gone", [WEB])
    assert nft.elements("inet", "t", "services") == []


@pytest.mark.root
async def test_thousands_of_elements_at_once(nft):
    many = [Change(True, "ports", Element(pack(n), pack(ip_address("10.0.0.1"), n))) for n in range(1, 6001)]
    nft.change("inet", "t", many)
    assert len(nft.elements("inet", "t", "ports")) == 6000
    nft.change("inet", "t", [Change(False, c.set, Element(c.element.key)) for c in many])
    assert nft.elements("inet", "t", "ports") == []


@pytest.mark.root
async def test_a_script_fails_as_a_whole_with_nfts_words(nft):
    with pytest.raises(Failed, match=r"(?s)nft: exit code 1: .*nochain"):
        await nft.apply("add chain inet t fresh\nadd rule inet t nochain accept\n")
    names = [item["chain"]["name"] for item in await nft.show("chains") if "chain" in item]
    assert names == ["web"]
    assert await nft.show("table", "inet", "none") == []


def test_an_interval_up_to_the_end_has_no_end():
    assert nftset.interval(ip_network("0.0.0.0/0")) == [Element(bytes(4))]


@given(st.binary(max_size=200))
def test_any_answer_is_taken_or_refused(data):
    with contextlib.suppress(ValueError, KeyError, IndexError):
        nftset.parse(Message(0, 0, data))
