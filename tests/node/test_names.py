"""resolv.conf, /etc/hosts and host names of pods."""

from typing import Any

import pytest

from podling.node.names import Resolver, hostname_of, hosts_file, parse_resolver, resolver_of

HOST = Resolver(("192.0.2.53",), ("example.org",), ("timeout:1",))
CLUSTER = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org")


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, Resolver(("10.96.0.10",), CLUSTER, ("ndots:5",))),
        ({"dnsPolicy": "Default"}, HOST),
        ({"hostNetwork": True}, HOST),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, Resolver(("10.96.0.10",), CLUSTER, ("ndots:5",))),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b"]}}, Resolver(("1.1.1.1",), ("a.b",))),
        (
            {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}], "nameservers": ["10.96.0.10"]}},
            Resolver(("10.96.0.10",), CLUSTER, ("ndots:2", "edns0")),
        ),
    ],
)
def test_policies(spec: dict[str, Any], expected: Resolver) -> None:
    assert resolver_of(pod(**spec), HOST, "10.96.0.10", "cluster.local") == expected


def test_a_resolver_is_read_as_it_is_written() -> None:
    text = "# by hand\nnameserver 192.0.2.53\nsearch example.org # ours\noptions timeout:1\nsortlist 10.0.0.0\n"
    assert parse_resolver(text) == HOST
    assert parse_resolver(HOST.text()) == HOST
    assert Resolver().text() == ""


def test_hosts() -> None:
    named = pod(hostname="db-0", subdomain="db", hostAliases=[{"ip": "192.0.2.9", "hostnames": ["old", "older"]}])
    text = hosts_file(named, ("10.244.0.5",), "cluster.local")
    assert "127.0.0.1\tlocalhost\n" in text
    assert "10.244.0.5\tdb-0.db.default.svc.cluster.local\tdb-0\n" in text
    assert text.endswith("# Entries added by HostAliases.\n192.0.2.9\told\tolder\n")
    assert "10.244.0.5\tweb\n" in hosts_file(pod(), ("10.244.0.5",), "cluster.local")


def test_long_names_are_cut_to_what_a_host_name_may_be() -> None:
    long = {"metadata": {"name": "a" * 62 + ".bcd", "namespace": "default"}, "spec": {}}
    assert hostname_of(long) == "a" * 62
