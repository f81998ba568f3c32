"""The network of a container: whose it is, which networks it joins, under what it is published."""

from typing import TYPE_CHECKING

from podling.base.errors import Conflict
from podling.engine.links import parse
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import ContainerSpec, Endpoint
from podling.linux import namespace
from podling.network import rates
from podling.network.base import Sandbox
from podling.network.ports import PortRequest

if TYPE_CHECKING:
    from podling.engine.container import Container


_OWN_NETWORK = ("host", "container:", "ns:")


def owns_network(spec: ContainerSpec) -> bool:
    """Whether the container has a network namespace that the engine makes for it."""
    return not spec.namespaces.network.startswith(_OWN_NETWORK)


def network_of(record: Record, around: Surroundings) -> Record | None:
    """The container whose network this one shares."""
    mode = record.spec.namespaces.network
    return around.find(mode[10:]).record if mode.startswith("container:") else None


def is_linked(spec: ContainerSpec) -> bool:
    """Whether its links are those of the default network: addresses in its files, variables in its environment. Elsewhere they
    are names of its resolver."""
    return bool(spec.links) and spec.namespaces.network in ("", "default", "bridge")


def wanted_networks(spec: ContainerSpec) -> dict[str, Endpoint]:
    """The networks to connect, the one of the mode first."""
    mode = spec.namespaces.network
    first = "bridge" if mode in ("", "default") else mode
    return {first: spec.networks.get(first, Endpoint()), **spec.networks}


async def open_network(record: Record, around: Surroundings) -> None:
    if owns_network(record.spec):
        path = around.netns(record.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        namespace.remove(path)  # of a run that ended unseen
        namespace.create({"net": path}, namespace.loopback_up)


async def join_all(record: Record, around: Surroundings) -> None:
    spec = record.spec
    await around.networks.limit(record.id, rates.asked(spec.labels))
    for name, asked in wanted_networks(spec).items():
        await join(record, around, name, asked)
    requests = [PortRequest(p.container_port, p.protocol, p.host_ip, p.host_port) for p in spec.ports]
    around.networks.publish(record.id, requests)


async def join(record: Record, around: Surroundings, network: str, asked: Endpoint) -> None:
    """Put the container's namespace into a network."""
    links = [*asked.links, *(record.spec.links if network == record.spec.namespaces.network else ())]
    await around.networks.connect(
        network,
        Sandbox(record.id, record.name, around.netns(record.id)),
        address=asked.ipv4,
        address6=asked.ipv6,
        mac=asked.mac,
        aliases=asked.aliases,
        links={alias: name for name, alias in map(parse, links)},
        upstream=[(server, 53) for server in record.spec.dns],
    )


def network_namespace(record: Record, around: Surroundings) -> str | None:
    """The path of the namespace to join; None for the host's."""
    mode = record.spec.namespaces.network
    if mode == "host":
        return None
    if mode.startswith("ns:"):
        return mode[3:]
    if mode.startswith("container:"):
        return f"/proc/{running_pid(around.find(mode[10:]), 'network')}/ns/net"
    return str(around.netns(record.id))


def running_pid(other: "Container", what: str) -> int:
    if not other.state.pid:
        raise Conflict(f"cannot join {what} of a non running container: {other.id}")
    pid: int = other.state.pid
    return pid
