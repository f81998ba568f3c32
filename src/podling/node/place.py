"""Where the node agent keeps its things, and what it is told once: the configuration that all its parts share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podling.node.names import Resolver
from podling.node.pod.spec import Object, uid_of
from podling.node.settings import Settings


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """The node's own facts. Paths are absolute; addresses are IPv4 text; memory in bytes.

    `address` is where the API server finds the node's own API; `certificate` and `key` are for that, and `client_ca`
    signs who may ask. `resolver` is the host's. Without a `pod_cidr` the cluster gives one, out of `cluster_cidr`. `routes` is
    how other nodes are reached: direct or vxlan.
    """

    name: str
    root: Path
    run: Path
    address: str
    instance: str = "podling"
    lease_seconds: int = 40
    routes: str = "direct"
    pod_cidr: str = "10.244.0.0/24"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    cluster_dns: str = "10.96.0.10"
    cluster_domain: str = "cluster.local"
    kubelet_port: int = 10250
    cpus: int = 1
    memory: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    resolver: Resolver = field(default_factory=Resolver)
    certificate: Path = Path()
    key: Path = Path()
    client_ca: Path = Path()
    settings: Settings = field(default_factory=Settings)

    @property
    def tag(self) -> str:
        """Up to four characters that tell this podling's interfaces from those of another."""
        return self.instance.partition("-")[2][:4]

    @property
    def pod_devices(self) -> str:
        """How the host's ends of the pods' interfaces begin."""
        return f"kp{self.tag}p"

    @property
    def gateway_device(self) -> str:
        return f"kp{self.tag}-gw"

    @property
    def vxlan_device(self) -> str:
        return f"kp{self.tag}-vx"

    @property
    def table(self) -> str:
        """The nftables table of services."""
        return f"{self.instance}-services"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def sandboxes(self) -> Path:
        return self.run / "sandboxes"

    @property
    def logs(self) -> Path:
        return self.root / "pod-logs"

    @property
    def seccomp(self) -> Path:
        """Where pods' profiles of type Localhost are looked for."""
        return self.root / "seccomp"

    @property
    def cgroup(self) -> str:
        return f"/{self.instance}/kubepods"

    def pod_directory(self, pod: Object) -> Path:
        return self.pods / uid_of(pod)

    def log_directory(self, pod: Object) -> Path:
        metadata = pod["metadata"]
        return self.logs / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def node_values(config: NodeConfig, addresses: tuple[str, ...]) -> dict[str, str]:
    """What the downward API takes from the node, by field path or resource."""
    values: dict[str, Any] = {
        "status.hostIP": config.address,
        "status.hostIPs": config.address,
        "status.podIP": addresses[0] if addresses else "",
        "status.podIPs": ",".join(addresses),
        "cpu": config.cpus,
        "memory": config.memory,
    }
    return {key: str(value) for key, value in values.items()}
