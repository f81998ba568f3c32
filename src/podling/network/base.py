"""What a network, an endpoint and a network driver are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from podling.linux.nft import RuleSet


@dataclass(frozen=True, slots=True)
class Pool:
    """A subnet of a network. `range` is the part that addresses are handed out from ("": all of it), `reserved` are names of
    addresses that are never handed out."""

    subnet: str
    gateway: str
    range: str = ""
    reserved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """A network as it was asked for, with what was chosen for it. `created` in seconds since the epoch.

    `internal` networks don't reach outside. `options` and `labels` are the caller's; the drivers' own options are
    constants of their modules.
    """

    id: str
    name: str
    driver: str
    pools: tuple[Pool, ...] = ()
    internal: bool = False
    created: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    builtin: bool = False
    attachable: bool = False  # kept for who asks: every network here is


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Who is connected: a container or a pod with its network namespace."""

    id: str
    name: str
    netns: Path


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One sandbox's place in one network. Addresses carry their prefix length, "172.17.0.2/16"; "" is none.

    `device` is the host's end, `gateway` and `gateway6` are where packets leave to ("" in an internal network). `aliases` are
    names of the sandbox for all in the network, `links` names that it alone knows, and whom they mean.
    """

    id: str
    network: str
    sandbox: str
    name: str
    netns: str
    interface: str = ""
    device: str = ""
    mac: str = ""
    address: str = ""
    address6: str = ""
    gateway: str = ""
    gateway6: str = ""
    aliases: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    default_route: bool = False

    @property
    def ip(self) -> str:
        """The IPv4 address alone."""
        return self.address.partition("/")[0]

    @property
    def ip6(self) -> str:
        """The IPv6 address alone."""
        return self.address6.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Rates:
    """How much a sandbox may send and be sent, in bits per second on each of its interfaces; 0 is unlimited."""

    egress: int = 0
    ingress: int = 0


class Driver(Protocol):
    """How networks of one kind are made. All undoing is idempotent, and so is `create`: it makes what lacks."""

    addressed: bool
    """Whether its networks have pools and its endpoints an interface of their own; others there is one of."""

    publishes: bool
    """Whether the host can send what comes to its ports on to an endpoint."""

    async def create(self, network: Network) -> None:
        """Bring the network into being. Raises OSError or PodlingError; then nothing new is left."""

    async def remove(self, network: Network) -> None:
        """Take it away; its endpoints are gone already."""

    async def attach(self, network: Network, endpoint: Endpoint) -> None:
        """Give the endpoint's namespace its interface, addresses and routes. Leaves nothing behind when it fails."""

    async def detach(self, network: Network, endpoint: Endpoint) -> None:
        """Take the interface away, if the namespace still has it."""

    async def limit(self, network: Network, endpoint: Endpoint, rates: Rates) -> None:
        """Hold an attached endpoint to `rates`, in place of earlier ones. Raises InvalidInput where it can't, OSError."""

    async def attached(self, network: Network, endpoints: Iterable[Endpoint]) -> set[str]:
        """Those of the endpoints (their `device`) that really are there, for reconciling after a restart."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where networks live: the host's namespace (None: the process's own), its rule set, and the names in use."""

    names: "Names"
    rules: RuleSet
    netns: Path | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """The names of kernel objects. `instance` is up to four hexadecimal digits, so that two instances never meet."""

    instance: str = ""

    def __post_init__(self) -> None:
        if len(self.instance) > 4 or set(self.instance) - set("0123456789abcdef"):
            raise ValueError(f"an instance is up to four hexadecimal digits, not {self.instance!r}")

    @property
    def table(self) -> str:
        """The nftables table, family inet."""
        return f"podling-{self.instance}" if self.instance else "podling"

    def bridge(self, network: str) -> str:
        return f"pl{self.instance}-{network[:8]}"

    def device(self, endpoint: str) -> str:
        return f"pl{self.instance}v{endpoint[:8]}"

    def is_ours(self, link: str) -> bool:
        """Whether an interface of the host was named by `bridge` or `device`."""
        return link.startswith((f"pl{self.instance}-", f"pl{self.instance}v"))
