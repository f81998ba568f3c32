"""Take a podling down by what is there, not by what was recorded: it works after a crash, and twice."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from podling.app import contexts, nodes, processes, segment
from podling.app.config import Config
from podling.base.errors import Failed, InvalidInput
from podling.linux import link
from podling.linux.cgroup import Group
from podling.linux.mount import mounts_below, umount
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft
from podling.linux.process import send_signal
from podling.network.base import Names
from podling.node import settings
from podling.node.place import NodeConfig

Show = Callable[[str], None]
KILL_PATIENCE = 5.0


def take_down(config: Config, *, purge: bool, grace: float, show: Show) -> None:
    """Stop the processes and the containers, take mounts, links, rules and cgroups away; with `purge` the data as well."""
    for name, pid_file in reversed(nodes.pid_files(config).items()):
        show(f"stopping the {name}")
        processes.stop(pid_file, grace=10.0 + _shutdown_seconds(config))
    everyone = [*nodes.existing(config), config]
    show("stopping containers")
    for node in everyone:
        end_containers(node, grace)
    show("removing mounts, networks and control groups")
    unmount(config)  # the further nodes' network namespaces too, and what is in them
    remove_links(config)
    remove_tables(config)
    for node in everyone:
        Group(f"/{node.instance}").remove()
    if purge:
        show("removing data")
        contexts.remove(config)
        shutil.rmtree(config.root, ignore_errors=True)
        shutil.rmtree(config.run, ignore_errors=True)


def _shutdown_seconds(config: Config) -> float:
    """How long an agent may take to end its pods."""
    with contextlib.suppress(InvalidInput):  # what it was started with may be gone
        return settings.load(Path(config.kubelet_config) if config.kubelet_config else None).shutdown.total
    return 0.0


def end_containers(config: Config, grace: float) -> None:
    """SIGTERM to every process in our cgroups, SIGKILL after `grace` seconds, until they and their monitors are gone."""
    group = Group(f"/{config.instance}")
    if not group.exists():
        return
    monitors = list(_monitors(config))
    others = {*monitors, *_sleepers(config)}
    containers = [pid for pid in group.pids() if pid not in others]
    if not _ended(containers, signal.SIGTERM, grace):
        group.kill()
    if not _ended(group.pids(), signal.SIGKILL, KILL_PATIENCE):
        raise Failed(f"processes {group.pids()} do not end on SIGKILL: they hang in the kernel")
    # A monitor ends by itself once it has noted the exit code.
    if not _ended(monitors, 0, KILL_PATIENCE):
        _ended(monitors, signal.SIGKILL, KILL_PATIENCE)


def _sleepers(config: Config) -> Iterator[int]:
    """The first processes of the pods that share theirs: they end on SIGKILL alone, and all others of the pod with them."""
    for file in (config.run / "sandboxes").glob("*/pause"):
        with contextlib.suppress(OSError, ValueError):
            yield int(file.read_text())


def _monitors(config: Config) -> Iterator[int]:
    """The conmon processes of this podling."""
    places = (str(config.root).encode(), str(config.run).encode())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"conmon") and any(word.startswith(places) for word in words):
            yield int(folder.name)


def _ended(pids: Iterable[int], number: int, patience: float) -> bool:
    """Signal the processes and wait until all have ended; False when some still run after `patience` seconds."""
    poll = select.poll()
    descriptors: set[int] = set()
    try:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            descriptors.add(descriptor)
            poll.register(descriptor, select.POLLIN)
            send_signal(descriptor, number)
        end = time.monotonic() + patience
        left = set(descriptors)
        while left and (rest := end - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(rest * 1000):
                poll.unregister(descriptor)
                left.discard(descriptor)
        return not left
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def unmount(config: Config) -> None:
    """Everything that is mounted below our folders, the latest first; namespaces go with their mounts."""
    for place in {config.root, config.run}:
        for mount in reversed(mounts_below(place)):
            umount(mount.target, detach=True)


def remove_links(config: Config) -> None:
    """Our bridges and the host's ends of our veth pairs. Routes to other nodes go with the interface that they use."""
    names = Names(config.tag)
    node = NodeConfig(config.node_name, config.root, config.run, "", config.instance)
    with Netlink() as net:
        for found in link.listed(net):
            shared = found.name in (node.gateway_device, node.vxlan_device) or segment.is_ours(config, found.name)
            if shared or names.is_ours(found.name) or found.name.startswith(node.pod_devices):
                link.delete(net, found.name)


def remove_tables(config: Config) -> None:
    """Our nftables tables, with all that is in them."""
    asyncio.run(_remove_tables((config.instance, f"{config.instance}-services", segment.table(config))))


async def _remove_tables(names: tuple[str, ...]) -> None:
    rules = Nft()
    try:
        tables = [item["table"] for item in await rules.show("tables") if "table" in item]
        found = [table for table in tables if table["name"] in names]
        await rules.apply("".join(f"delete table {table['family']} {table['name']}\n" for table in found))
    finally:
        rules.close()
