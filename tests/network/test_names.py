"""Container names: the table, and what containers are answered."""

import asyncio

import pytest

from podling.aio import dnswire
from podling.aio.dnsserver import Answer, DnsServer, Upstream, bound
from podling.aio.dnswire import Question
from podling.linux.namespace import in_namespace, run_in
from podling.network.base import Endpoint
from podling.network.names import NameTable, resolv_conf
from podling.network.networks import Networks


def endpoint(number, name, network="n1", aliases=(), ip6=""):
    return Endpoint(
        f"e{number}", network, f"{number}" * 64, name, "", address=f"10.0.0.{number}/24", address6=ip6, aliases=aliases
    )


@pytest.fixture
def table():
    made = NameTable()
    made.add(endpoint(2, "Web", aliases=("www",), ip6="fd00::2/64"), "blue")
    made.add(endpoint(3, "db", aliases=("www",)), "blue")
    made.add(endpoint(4, "other", "n2"), "green")
    return made


def addresses(answer):
    return [str(dnswire.address_of(record)) for record in answer.records]


@pytest.mark.parametrize("name", ["web", "web.blue", "222222222222"])
def test_the_names_of_an_endpoint(table, name):
    assert addresses(table.answer(["n1"], Question(name, dnswire.A))) == ["10.0.0.2"]


def test_an_alias_of_several_goes_round(table):
    answers = [addresses(table.answer(["n1"], Question("www", dnswire.A))) for _ in range(4)]
    assert all(sorted(answer) == ["10.0.0.2", "10.0.0.3"] for answer in answers)
    assert answers[0] != answers[1]


def test_a_name_is_known_in_its_network_alone(table):
    assert table.answer(["n1"], Question("other", dnswire.A)) is None
    assert addresses(table.answer(["n1", "n2"], Question("other", dnswire.A))) == ["10.0.0.4"]


def test_no_address_of_the_family_is_an_empty_answer(table):
    assert addresses(table.answer(["n1"], Question("web", dnswire.AAAA))) == ["fd00::2"]
    assert table.answer(["n1"], Question("db", dnswire.AAAA)) == Answer([])
    assert table.answer(["n1"], Question("db", dnswire.SRV)) == Answer([])


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
def test_the_name_of_an_address(table, address):
    answer = table.answer(["n1"], Question(dnswire.reverse_name(address), dnswire.PTR))
    assert dnswire.target_of(answer.records[0]) == "web.blue"
    assert table.answer(["n2"], Question(dnswire.reverse_name(address), dnswire.PTR)) is None


def test_a_discarded_endpoint_is_unknown(table):
    for _ in range(2):
        table.discard(endpoint(2, "Web", aliases=("www",), ip6="fd00::2/64"))
    assert table.answer(["n1"], Question("web", dnswire.A)) is None
    assert addresses(table.answer(["n1"], Question("www", dnswire.A))) == ["10.0.0.3"]
    assert table.at(["n1"], "10.0.0.2") is None


HOST = "nameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch corp.example\noptions edns0 trust-ad\n"


def test_resolv_conf():
    assert resolv_conf(HOST, embedded=False) == "nameserver 192.0.2.53\nsearch corp.example\noptions edns0 trust-ad\n"
    assert resolv_conf(HOST, embedded=True) == "nameserver 127.0.0.11\nsearch corp.example\noptions edns0 trust-ad ndots:0\n"
    own = resolv_conf(HOST, embedded=False, servers=["8.8.8.8"], search=["."], options=["ndots:2"])
    assert own == "nameserver 8.8.8.8\noptions ndots:2\n"
    assert resolv_conf("", embedded=False) == ""


async def look_up(netns, name, kind=dnswire.A, tcp=False):
    """What a container's resolver answers, asked from inside."""

    def inside():
        query = dnswire.encode_query(5, Question(name, kind))
        return asyncio.run(Upstream([("127.0.0.11", 53)], timeout=3)(query, tcp))

    return dnswire.parse_message(await in_namespace(netns, inside))


@pytest.mark.root
@pytest.mark.parametrize("tcp", [False, True])
async def test_containers_find_each_other_by_name(networks, sandbox, tcp):
    await networks.create("blue")
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("blue", web)
    there = await networks.connect("blue", db, aliases=["store"])
    for name in ("db", "store", "db.blue"):
        assert addresses_of(await look_up(web.netns, name, tcp=tcp)) == [there.ip]
    networks.rename(db.id, "base")
    assert addresses_of(await look_up(web.netns, "base", tcp=tcp)) == [there.ip]
    assert (await look_up(web.netns, "db", tcp=tcp)).code == dnswire.SERVFAIL
    await networks.disconnect("blue", db.id)
    assert (await look_up(web.netns, "store", tcp=tcp)).code == dnswire.SERVFAIL
    assert not networks.has_resolver(db.id)


@pytest.mark.root
async def test_a_link_is_a_name_for_one_alone(networks, sandbox, netns, tmp_path):
    await networks.create("blue")
    web, db, other = sandbox("web"), sandbox("db"), sandbox("other")
    there = await networks.connect("blue", db)
    await networks.connect("blue", web, links={"Store": "db"})
    await networks.connect("blue", other)
    assert addresses_of(await look_up(web.netns, "store")) == [there.ip]
    assert (await look_up(other.netns, "store")).code == dnswire.SERVFAIL
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id, db.id})
    assert addresses_of(await look_up(web.netns, "store")) == [there.ip]
    await again.close()


def addresses_of(message):
    return [str(dnswire.address_of(record)) for record in message.answers]


@pytest.mark.root
async def test_other_names_are_asked_upstream(tmp_path, netns, sandbox):
    udp, tcp = bound("127.0.0.1", 0)
    where = udp.getsockname()
    upstream = DnsServer(lambda question, _: Answer([dnswire.a(question.name, 5, "192.0.2.1")]))
    await upstream.start(udp, tcp)
    networks = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[where])
    await networks.start()
    await networks.create("blue")
    web = sandbox("web")
    await networks.connect("blue", web)
    assert addresses_of(await look_up(web.netns, "example.org")) == ["192.0.2.1"]
    await networks.close()
    await upstream.close()


@pytest.mark.root
async def test_a_container_that_has_the_port_keeps_it(networks, sandbox):
    await networks.create("blue")
    web = sandbox("web")
    held = run_in(web.netns, lambda: bound("127.0.0.11"))
    await networks.connect("blue", web)
    for one in held:
        one.close()
