"""Cluster DNS: what names mean."""

import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from typing import Any

import pytest

from node.feed import Feed
from podling.aio import dnswire
from podling.aio.dnsserver import Answer, DnsServer, Upstream, bound
from podling.aio.dnswire import AAAA, CNAME, NOERROR, NXDOMAIN, PTR, SRV, TXT, A, Question
from podling.node.dns.names import records_of
from podling.node.dns.server import ClusterDns
from podling.node.dns.zone import Zone

DOMAIN = "cluster.local"


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def slice_of(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {"addressType": "IPv4", "endpoints": list(endpoints), "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def member(address: str, **more: Any) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": True}, **more}


WEB = service("web", clusterIP="10.96.0.20", ports=[{"name": "http", "port": 80}])
SET = service("db", clusterIP="None", ports=[{"name": "http", "port": 8080}])
MEMBERS = slice_of(
    member("10.244.0.2", hostname="db-0"), member("10.244.0.3"), {"addresses": ["10.244.0.4"], "conditions": {"ready": False}}
)
AWAY = service("away", type="ExternalName", externalName="www.Example.org.")
NEAR = service("near", type="ExternalName", externalName="web.default.svc.cluster.local")


@pytest.fixture
def zone() -> Zone:
    made = Zone(DOMAIN, ["10.96.0.0/16", "10.244.0.0/16"])
    for each, slices in ((WEB, []), (SET, [MEMBERS]), (AWAY, []), (NEAR, [])):
        made.put(f"default/{each['metadata']['name']}", records_of(each, slices, DOMAIN))
    return made


def ask(zone: Zone, name: str, kind: int = A) -> tuple[int, list[str]]:
    """The code, and the answers as text."""
    answer = zone.resolve(Question(name, kind))
    assert answer is not None
    return answer.code, [text(record) for record in answer.records]


def text(record: dnswire.Record) -> str:
    if record.type == A:
        return str(IPv4Address(record.data))
    if record.type == TXT:
        return record.data[1:].decode()
    target = dnswire.target_of(record)
    return f"{int.from_bytes(record.data[4:6], 'big')} {target}" if record.type == SRV else target


@pytest.mark.parametrize(
    ("name", "kind", "code", "answers"),
    [
        ("web.default.svc.cluster.local", A, NOERROR, ["10.96.0.20"]),
        ("web.default.svc.cluster.local", AAAA, NOERROR, []),
        ("_http._tcp.web.default.svc.cluster.local", SRV, NOERROR, ["80 web.default.svc.cluster.local"]),
        ("_tcp.web.default.svc.cluster.local", A, NOERROR, []),
        ("_dns._tcp.web.default.svc.cluster.local", SRV, NXDOMAIN, []),
        ("20.0.96.10.in-addr.arpa", PTR, NOERROR, ["web.default.svc.cluster.local"]),
        ("21.0.96.10.in-addr.arpa", PTR, NXDOMAIN, []),
        ("db-0.db.default.svc.cluster.local", A, NOERROR, ["10.244.0.2"]),
        ("10-244-0-3.db.default.svc.cluster.local", A, NOERROR, ["10.244.0.3"]),
        ("2.0.244.10.in-addr.arpa", PTR, NOERROR, ["db-0.db.default.svc.cluster.local"]),
        ("nope.default.svc.cluster.local", A, NXDOMAIN, []),
        ("default.svc.cluster.local", A, NOERROR, []),
        ("svc.cluster.local", A, NOERROR, []),
        ("cluster.local", A, NOERROR, []),
        ("10-244-0-9.default.pod.cluster.local", A, NOERROR, ["10.244.0.9"]),
        ("10-244-0-9.default.pod.cluster.local", AAAA, NOERROR, []),
        ("nonsense.default.pod.cluster.local", A, NXDOMAIN, []),
        ("near.default.svc.cluster.local", CNAME, NOERROR, ["web.default.svc.cluster.local"]),
        ("dns-version.cluster.local", TXT, NOERROR, ["1.1.0"]),
    ],
)
def test_names(zone: Zone, name: str, kind: int, code: int, answers: list[str]) -> None:
    assert ask(zone, name, kind) == (code, answers)


def test_headless_services_take_turns(zone: Zone) -> None:
    firsts = set()
    for _ in range(4):
        _, answers = ask(zone, "db.default.svc.cluster.local")
        assert sorted(answers) == ["10.244.0.2", "10.244.0.3"]
        firsts.add(answers[0])
    assert firsts == {"10.244.0.2", "10.244.0.3"}


def test_a_service_record_brings_the_addresses_along(zone: Zone) -> None:
    answer = zone.resolve(Question("_http._tcp.db.default.svc.cluster.local", SRV))
    assert answer is not None
    assert sorted(map(text, answer.additionals)) == ["10.244.0.2", "10.244.0.3"]


def test_negative_answers_say_how_long_they_hold(zone: Zone) -> None:
    answer = zone.resolve(Question("nope.default.svc.cluster.local", A))
    assert answer is not None
    assert [(each.type, each.name, each.ttl) for each in answer.authorities] == [(dnswire.SOA, DOMAIN, 5)]


def test_an_alias_within_the_cluster_is_followed(zone: Zone) -> None:
    _, answers = ask(zone, "near.default.svc.cluster.local")
    assert answers[1:] == ["10.96.0.20"]


@pytest.mark.parametrize("name", ["www.example.org", "away.default.svc.cluster.local", "1.2.0.192.in-addr.arpa"])
def test_what_is_outside_goes_to_others(zone: Zone, name: str) -> None:
    assert zone.resolve(Question(name, PTR if name.endswith("arpa") else A)) is None


def test_an_alias_to_the_outside_is_known(zone: Zone) -> None:
    assert zone.external("away.default.svc.cluster.local") == "www.example.org"


def test_what_is_gone_is_not_answered(zone: Zone) -> None:
    zone.put("default/web", records_of(None, [], DOMAIN))
    assert ask(zone, "web.default.svc.cluster.local")[0] == NXDOMAIN
    zone.put("default/db", records_of(SET, [], DOMAIN))
    assert ask(zone, "default.svc.cluster.local")[0] == NOERROR
    assert ask(zone, "db-0.db.default.svc.cluster.local")[0] == NXDOMAIN


# The server, with another one as its upstream.


async def query(port: int, name: str, kind: int = A, server: str = "127.0.0.1") -> dnswire.Message:
    asked = dnswire.encode_query(7, Question(name, kind))
    return dnswire.parse_message(await Upstream([(server, port)])(asked, False))


@pytest.fixture
async def servers() -> AsyncIterator[tuple[int, Feed, Feed]]:
    """A cluster's server, and what it follows; upstream everything is 192.0.2.1."""
    outside = DnsServer(lambda question, _: Answer([dnswire.a(question.name, 60, "192.0.2.1")]))
    udp, tcp = bound("127.0.0.1", 0)
    upstream = udp.getsockname()
    await outside.start(udp, tcp)
    services, slices = Feed(), Feed()
    inside = ClusterDns(DOMAIN, ["10.96.0.0/16"], services, slices, [upstream])  # type: ignore[arg-type]
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    await inside.start("127.0.0.1", port)
    yield port, services, slices
    await inside.close()
    await outside.close()


async def test_the_server_follows_and_forwards(servers: tuple[int, Feed, Feed]) -> None:
    port, services, _ = servers
    assert (await query(port, "web.default.svc.cluster.local")).code == NXDOMAIN
    services.put(WEB)
    answer = await query(port, "web.default.svc.cluster.local")
    assert [text(record) for record in answer.answers] == ["10.96.0.20"]
    assert answer.flags & dnswire.AA
    assert [text(record) for record in (await query(port, "www.example.org")).answers] == ["192.0.2.1"]


async def test_an_alias_to_the_outside_brings_its_address(servers: tuple[int, Feed, Feed]) -> None:
    port, services, _ = servers
    services.put(AWAY)
    answer = await query(port, "away.default.svc.cluster.local")
    assert [(each.type, each.name) for each in answer.answers] == [
        (CNAME, "away.default.svc.cluster.local"),
        (A, "www.example.org"),
    ]


async def test_members_that_come_and_go(servers: tuple[int, Feed, Feed]) -> None:
    port, services, slices = servers
    services.put(SET)
    labelled = {"name": "db-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "db"}}
    slices.put({"metadata": labelled, **MEMBERS})
    assert len((await query(port, "db.default.svc.cluster.local")).answers) == 2
    slices.put({"metadata": labelled, **slice_of(member("10.244.0.9"))})
    assert [text(record) for record in (await query(port, "db.default.svc.cluster.local")).answers] == ["10.244.0.9"]
    slices.drop("default/db-1")
    assert (await query(port, "db.default.svc.cluster.local")).code == NXDOMAIN
