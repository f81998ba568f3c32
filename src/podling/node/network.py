"""The pods' network of one node: a veth pair a pod, routed, without a bridge.

Each pod has a /32 and reaches everything through the node, so that what goes from pod to pod passes the node's packet
rules too (service addresses, policies), which a bridge would carry past them. One interface of the node holds the gateway's
address, the cluster DNS's, and the route that makes virtual IPs of services routable on the node itself.
"""

import asyncio
import hashlib
import json
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from podling.base.errors import Unavailable
from podling.base.files import write_atomic
from podling.linux import address, link, namespace, qdisc, route, sysctl
from podling.linux.mount import bind, is_mountpoint
from podling.linux.netlink import Netlink
from podling.node import sharing
from podling.node.place import NodeConfig
from podling.node.runtime import SandboxSpec

_KINDS = ("net", "ipc", "uts")
_INSIDE = "eth0"


class PodNetwork:
    """Makes and removes the namespaces of pods. What exists is in `<run>/sandboxes/<uid>`: the namespaces and a record."""

    def __init__(self, config: NodeConfig, host: Path | None = None) -> None:
        self._config = config
        self._host = host
        self._root = config.sandboxes
        self._range = IPv4Network(config.pod_cidr or config.cluster_cidr)  # until `start` says which
        self._addresses: dict[str, str] = {}
        self._latest = 1

    @property
    def gateway(self) -> str:
        return str(self._range[1])

    def path(self, uid: str, kind: str) -> Path:
        """The namespace of `kind` (net, ipc, uts, pid) of a pod, where it has one; "shm": its shared memory."""
        return self._root / uid / kind

    async def start(self, pod_cidr: str = "") -> None:
        """Make what all pods share, and find the sandboxes that are there. `pod_cidr` is the node's range ("": as configured)."""
        self._range = IPv4Network(pod_cidr or self._config.pod_cidr)
        await asyncio.to_thread(self._start)
        await self.listed()

    async def listed(self) -> dict[str, tuple[str, ...]]:
        """The sandboxes that are there: uid → addresses. What is half made goes."""
        return await asyncio.to_thread(self._listed)

    async def add(self, spec: SandboxSpec) -> tuple[str, ...]:
        """A sandbox: its addresses. Leaves nothing behind when it fails."""
        if not spec.host_network:
            self.reserve(spec.uid)
        try:
            if spec.share_processes and not self.path(spec.uid, "pid").exists():
                await sharing.start_processes(self._root / spec.uid, spec.cgroup)
            await asyncio.to_thread(self._add, spec)
        except BaseException:
            await self.remove(spec.uid)
            raise
        return (self._config.address,) if spec.host_network else (self._addresses[spec.uid],)

    def reserve(self, uid: str) -> str:
        """The address that a pod is going to have, for a runtime that makes namespaces itself. `remove` gives it back."""
        if uid not in self._addresses:
            self._addresses[uid] = self._choose(set(self._addresses.values()))
        return self._addresses[uid]

    async def adopt(self, spec: SandboxSpec, netns: Path) -> tuple[str, ...]:
        """Wire a namespace that the runtime has made, with the reserved address."""
        await asyncio.to_thread(self._adopt, spec, netns)
        return (self.reserve(spec.uid),)

    async def remove(self, uid: str) -> None:
        await asyncio.to_thread(self._remove, uid)
        self._addresses.pop(uid, None)

    async def close(self) -> None:
        """Take away what all pods share; for the end of the node, not of the agent."""
        await asyncio.to_thread(self._close)

    def _choose(self, taken: Collection[str]) -> str:
        """The next free address after the latest, so that one is not used again at once."""
        size = self._range.num_addresses
        for step in range(1, size):
            number = (self._latest + step) % size
            if number in (0, 1, size - 1) or str(self._range[number]) in taken:
                continue
            self._latest = number
            return str(self._range[number])
        raise Unavailable(f"no address is left in {self._range}")

    def _start(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        sysctl.write("net.ipv4.ip_forward", 1, self._host)
        device = self._config.gateway_device
        with Netlink(self._host) as net:
            if link.find(net, device) is None:
                link.add_bridge(net, device)
            held = {str(each.ip) for each in address.of(net, device)}
            for wanted in (self.gateway, self._config.cluster_dns):
                if wanted and wanted not in held:
                    address.add(net, device, f"{wanted}/32")
            link.change(net, device, up=True)
            route.add(net, self._config.service_cidr, device=device, source=self.gateway)

    def _listed(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for directory in self._root.iterdir():
            uid = directory.name
            record = self._record(uid)
            if record is None or not self._kept(uid):
                self._remove(uid)  # half made, or from before a reboot
                continue
            found[uid] = tuple(record)
            if record[0] != self._config.address:
                self._addresses[uid] = record[0]
        self._latest = max((int(IPv4Address(a)) - int(self._range[0]) for a in self._addresses.values()), default=1)
        return found

    def _kept(self, uid: str) -> bool:
        """Whether the namespaces that the pod was given are still held."""
        return all(is_mountpoint(path) for kind in _KINDS if (path := self.path(uid, kind)).exists())

    def _record(self, uid: str) -> list[str] | None:
        try:
            found: list[str] = json.loads((self._root / uid / "addresses").read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return found

    def _add(self, spec: SandboxSpec) -> None:
        if self._record(spec.uid) is not None:
            return
        directory = self._root / spec.uid
        directory.mkdir(mode=0o711, exist_ok=True)
        kinds = [k for k in _KINDS if not (k in ("net", "uts") and spec.host_network) and not (k == "ipc" and spec.host_ipc)]
        if kinds:
            namespace.create({kind: directory / kind for kind in kinds}, lambda: _prepare(spec, kinds))
        if not spec.host_ipc:
            sharing.make_memory(directory)
        if not spec.host_network:
            self._connect(spec, self._addresses[spec.uid])
        addresses = [self._config.address if spec.host_network else self._addresses[spec.uid]]
        write_atomic(directory / "addresses", json.dumps(addresses).encode())

    def _adopt(self, spec: SandboxSpec, netns: Path) -> None:
        directory = self._root / spec.uid
        directory.mkdir(mode=0o711, exist_ok=True)
        self.path(spec.uid, "net").touch(0o444)
        bind(netns, self.path(spec.uid, "net"))
        with Netlink(netns) as net:
            link.change(net, "lo", up=True)
        self._connect(spec, self._addresses[spec.uid])
        write_atomic(directory / "addresses", json.dumps([self._addresses[spec.uid]]).encode())

    def _connect(self, spec: SandboxSpec, own: str) -> None:
        inner, device = self.path(spec.uid, "net"), self._device(spec.uid)
        with Netlink(self._host) as net:
            link.delete(net, device)
            link.add_veth(net, link.End(device), link.End(_INSIDE, namespace=inner))
            route.add(net, f"{own}/32", device=device, source=self.gateway)
            if spec.ingress:
                qdisc.limit(net, device, spec.ingress)
        sysctl.write(f"net/ipv4/conf/{device}/route_localnet", 1, self._host)
        with Netlink(inner) as net:
            address.add(net, _INSIDE, f"{own}/32")
            link.change(net, _INSIDE, up=True)
            route.add(net, f"{self.gateway}/32", device=_INSIDE)
            route.add(net, "default", via=self.gateway, device=_INSIDE)
            if spec.egress:
                qdisc.limit(net, _INSIDE, spec.egress)

    def _device(self, uid: str) -> str:
        return self._config.pod_devices + hashlib.sha256(uid.encode()).hexdigest()[:8]

    def _remove(self, uid: str) -> None:
        directory = self._root / uid
        with Netlink(self._host) as net:
            link.delete(net, self._device(uid))
        for kind in _KINDS:
            namespace.remove(directory / kind)
        sharing.remove(directory)
        (directory / "addresses").unlink(missing_ok=True)
        if directory.exists():
            directory.rmdir()

    def _close(self) -> None:
        for directory in list(self._root.iterdir()) if self._root.exists() else ():
            self._remove(directory.name)
        with Netlink(self._host) as net:
            link.delete(net, self._config.gateway_device)


def _prepare(spec: SandboxSpec, kinds: Collection[str]) -> None:
    """Inside the new namespaces."""
    if "uts" in kinds:
        socket.sethostname(spec.hostname)
    if "net" in kinds:
        namespace.loopback_up()
    for name, value in spec.sysctls.items():
        sysctl.write(name, value)
