"""What a container finds in /etc about itself and those that it knows: hostname, hosts, resolv.conf, links."""

import os
from pathlib import Path

from podling.base.errors import Conflict
from podling.base.ids import short
from podling.engine import links
from podling.engine.defaults import hosts_file
from podling.engine.network import is_linked, network_of
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.network.names import resolv_conf


def hostname_of(record: Record, around: Surroundings) -> str:
    """The name inside: what was asked, that of the container whose network it shares, the host's own in its network, else the
    short id."""
    spec = record.spec
    if (other := network_of(record, around)) is not None:
        return hostname_of(other, around)
    if spec.hostname:
        return spec.hostname
    if spec.namespaces.network == "host" or spec.namespaces.uts == "host":
        return os.uname().nodename
    return short(record.id)


def write_files(record: Record, around: Surroundings) -> None:
    """What the container sees of its own name and its networks; again in the same files when those have changed."""
    if network_of(record, around) is not None:
        return  # it has the other one's
    directory = around.records.directory(record.id)
    (directory / "hostname").write_text(hostname_of(record, around) + "\n")
    (directory / "hosts").write_text(_hosts(record, around))
    (directory / "resolv.conf").write_text(_resolver(record, around))


def _hosts(record: Record, around: Surroundings) -> str:
    spec = record.spec
    endpoints = around.networks.endpoints_of(record.id)
    gateway = next((endpoint.gateway for endpoint in endpoints if endpoint.gateway), "")
    if spec.namespaces.network == "host":
        return _text("/etc/hosts") + hosts_file({}, (), spec.extra_hosts, "127.0.0.1").split("allrouters\n", 1)[1]
    name = hostname_of(record, around)
    names = [f"{name}.{spec.domainname}", name] if spec.domainname else [name]
    addresses = [address for endpoint in endpoints for address in (endpoint.ip, endpoint.ip6) if address]
    linked = dict(links.hosts_entry(each) for each in linked_containers(record, around))
    return hosts_file({**linked, **dict.fromkeys(addresses, "")}, names, spec.extra_hosts, gateway)


def linked_containers(record: Record, around: Surroundings) -> list[links.Linked]:
    """Those that it links to and that run in the default network with it."""
    if not is_linked(record.spec):
        return []
    own = {endpoint.network for endpoint in around.networks.endpoints_of(record.id)}
    found = []
    for text in record.spec.links:
        name, alias = links.parse(text)
        other = around.find(name).record
        address = next((e.ip for e in around.networks.endpoints_of(other.id) if e.network in own), "")
        if address:
            spec = other.spec
            ports = (*spec.exposed, *(f"{port.container_port}/{port.protocol}" for port in spec.ports))
            found.append(links.Linked(alias, other.name, hostname_of(other, around), address, ports, spec.env))
    return found


def check_links(record: Record, around: Surroundings) -> None:
    """Raises Conflict where a container that it links to in the default network does not run."""
    for text in record.spec.links if is_linked(record.spec) else ():
        name, alias = links.parse(text)
        other = around.find(name)
        if not other.running:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}")


def _resolver(record: Record, around: Surroundings) -> str:
    spec = record.spec
    return resolv_conf(
        _text("/etc/resolv.conf"),
        embedded=around.networks.has_resolver(record.id),
        servers=spec.dns,
        search=spec.dns_search,
        options=spec.dns_options,
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
