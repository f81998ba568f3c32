"""Further nodes on this machine: each an agent with a root, a network namespace and addresses of its own.

The first node is the machine itself. Node 2 has its data in `<root>/nodes/2`, its sockets in `<run>/nodes/2`.
"""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from podling.app.config import Config
from podling.base.errors import InvalidInput

FIRST = 1


def existing(config: Config) -> list[Config]:
    """The further nodes that were made here, by number."""
    folder = config.root / "nodes"
    numbers = sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal()) if folder.is_dir() else []
    return [of(config, number) for number in numbers]


def of(config: Config, number: int) -> Config:
    """The configuration of the node with this number, 2 or more. The cluster gives it the range of its pods."""
    return replace(
        config,
        root=config.root / "nodes" / str(number),
        run=config.run / "nodes" / str(number),
        node_name=f"{config.node_name}-{number}",
        node_ip=str(IPv4Network(config.node_cidr)[number]),
        pod_cidr="",
        docker_tcp="",
        audit_policy="",
        audit_log="",
    )


def number_of(node: Config) -> int:
    return int(node.root.name)


def part(node: Config) -> str:
    """What the agent of a further node is called where people look."""
    return f"agent of {node.node_name}"


def pid_files(config: Config) -> dict[str, Path]:
    """Every process of this podling, by the name that people see."""
    first = {name: config.pid_file(name) for name in ("server", "agent")}
    return first | {part(node): node.pid_file("agent") for node in existing(config)}


def log_files(config: Config) -> dict[str, Path]:
    """The log of each of them."""
    first = {name: config.log_file(name) for name in ("server", "agent")}
    return first | {part(node): node.log_file("agent") for node in existing(config)}


def make(config: Config, count: int | None) -> list[Config]:
    """Have `count` nodes in all (None: as many as there are); the further ones. Raises InvalidInput where that can't be."""
    held = existing(config)
    if count is None:
        return held
    _check(config, count, FIRST + len(held))
    made = [of(config, number) for number in range(FIRST + 1, count + 1)]
    for node in made:
        node.root.mkdir(parents=True, exist_ok=True, mode=0o711)
    return made


def _check(config: Config, count: int, held: int) -> None:
    if count < FIRST:
        raise InvalidInput(f"--nodes {count}: a cluster has at least one node")
    if count < held:
        raise InvalidInput(f"--nodes {count}: there are {held} here; `podling down --purge` removes them all")
    cluster = IPv4Network(config.cluster_cidr)
    ranges = 2 ** max(0, 24 - cluster.prefixlen)
    if count > ranges:
        raise InvalidInput(f"--nodes {count}: cluster_cidr {cluster} has ranges for {ranges}; --cluster-cidr gives a larger one")
    if count > IPv4Network(config.node_cidr).num_addresses - 2:
        raise InvalidInput(f"--nodes {count}: node_cidr {config.node_cidr} has too few addresses")


def api_url(config: Config) -> str:
    """Where further nodes reach the API: at the first node, not at its loopback interface."""
    return f"https://{config.node_address}:{config.api_port}"


def gateway(config: Config) -> str:
    """The first node's address on the segment of the nodes."""
    return str(IPv4Network(config.node_cidr)[FIRST])
