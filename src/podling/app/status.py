"""What runs of a podling, and how it is."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.api.objects import Object, get, name_of
from podling.api.timestamps import human
from podling.app import nodes
from podling.app.config import Config
from podling.app.processes import PidFile
from podling.base.errors import PodlingError
from podling.base.ids import jitter
from podling.client import kubeconfig
from podling.client.client import Client
from podling.client.http import HttpTransport
from podling.client.informer import Informers
from podling.client.resource import NODES, PODS

TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """One part: its name, whether it is as it should be, and what there is to say of it."""

    part: str
    good: bool
    detail: str


def status(config: Config) -> list[Line]:
    """Each part of the podling, from the bottom up."""
    return [*_processes(config), *asyncio.run(_faces(config))]


def _processes(config: Config) -> list[Line]:
    logs = nodes.log_files(config)
    return [_process(name, pid_file, logs[name]) for name, pid_file in nodes.pid_files(config).items()]


def _process(name: str, pid_file: Path, log: Path) -> Line:
    pid = PidFile(pid_file).holder()
    if pid is None:
        return Line(name, False, f"not running; its log is {log}")
    memory = int(next(line for line in _proc(pid, "status").splitlines() if line.startswith("VmRSS:")).split()[1])
    return Line(name, True, f"pid {pid}, up {_uptime(pid)}, {memory // 1024} MB")


def _proc(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def _uptime(pid: int) -> str:
    """How long a process has run: start time (field 22 of stat, in clock ticks since boot) against the boot clock."""
    started = int(_proc(pid, "stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    return human(seconds)


async def _faces(config: Config) -> list[Line]:
    """What its clients see."""
    return [*await _engines(config), *await _cluster(config)]


async def _engines(config: Config) -> list[Line]:
    """The Docker API of each node."""
    further = [await _docker(node, f"docker of {node.node_name}") for node in nodes.existing(config)]
    return [await _docker(config, "docker"), *further]


async def _docker(config: Config, name: str) -> Line:
    where = f"unix://{config.docker_socket}"
    try:
        async with HttpClient(where) as client:
            reply = await client.request("GET", "/containers/json", timeout=TIMEOUT)
            running = (await reply.body()).count(b'"State":"running"')
    except (PodlingError, OSError) as error:
        return Line(name, False, f"{where}: {error}")
    return Line(name, reply.ok, f"{where}, {running} containers running")


async def follow(config: Config, show: Callable[[list[Line]], None]) -> None:
    """Show the status now and after each change of nodes and pods, at most five times a second, until cancelled."""
    client = Client(HttpTransport(kubeconfig.resolve(kubeconfig.load([config.admin_kubeconfig]))))
    changed = asyncio.Event()
    try:
        async with Informers(client, SystemClock(), jitter) as informers:
            for resource in (NODES, PODS):
                informers.of(resource).add_handler(lambda old, new: changed.set())
            await informers.start()
            members, pods = (informers.of(resource).cache for resource in (NODES, PODS))
            while True:
                changed.clear()
                show([*_processes(config), *await _engines(config), *_nodes(members), _pods(pods)])
                await changed.wait()
                await asyncio.sleep(0.2)
    finally:
        await client.close()


async def _cluster(config: Config) -> list[Line]:
    if not config.admin_kubeconfig.exists():
        return [Line("kubernetes", False, "no cluster here yet")]
    access = kubeconfig.resolve(kubeconfig.load([config.admin_kubeconfig]))
    client = Client(HttpTransport(access))
    try:
        async with asyncio.timeout(TIMEOUT):
            members = (await client.list(NODES)).items
            pods = (await client.list(PODS)).items
    except (PodlingError, OSError, TimeoutError) as error:
        return [Line("kubernetes", False, f"{access.server}: {error}")]
    finally:
        await client.close()
    return [Line("kubernetes", True, access.server), *_nodes(members), _pods(pods)]


def _nodes(members: Iterable[Object]) -> Iterator[Line]:
    for node in members:
        ready = is_true(node, "Ready")
        yield Line(f"node {name_of(node)}", ready, "Ready" if ready else "not ready; `kubectl describe node` says why")


def _pods(pods: Iterable[Object]) -> Line:
    running = [pod for pod in pods if get(pod, "status.phase") != "Succeeded"]
    ready = [pod for pod in running if is_true(pod, "Ready")]
    return Line("pods", len(ready) == len(running), f"{len(ready)} ready of {len(running)}")


def is_true(obj: Object, condition: str) -> bool:
    return any(one["type"] == condition and one["status"] == "True" for one in get(obj, "status.conditions") or ())
