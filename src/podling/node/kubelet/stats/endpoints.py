"""The paths below /stats and /metrics of the node's own API."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import orjson

from podling.aio.http import Request, Response
from podling.node.kubelet.stats import cadvisor, machine, own, resource
from podling.node.kubelet.stats.collector import Collector
from podling.node.kubelet.stats.exposition import CONTENT_TYPE, Family, text
from podling.node.kubelet.stats.reader import is_here
from podling.node.kubelet.stats.summary import summary
from podling.node.pod.state import Container, State
from podling.node.pods import Pods
from podling.node.tally import Tally

_LENGTH = {"metrics": 2, "stats": 2}  # segments of a path that are counted by their names; of all others the first


class Stats:
    """`states` are the pods of this node, `probes` what their probes have said."""

    def __init__(
        self,
        collector: Collector,
        states: Callable[[], Iterable[State]],
        probes: Callable[[], own.Probes],
        version: str,
        cpus: int,
        started_at: float,
    ) -> None:
        self._collector = collector
        self._states = states
        self._probes = probes
        self._version = version
        self._cpus = cpus
        self._started_at = started_at
        self._requests: Counter[tuple[str, str]] = Counter()

    def served(self, method: str, path: str) -> None:
        """Count a request by what it asks for, never by whose."""
        parts = path.strip("/").split("/")
        self._requests[method, "/".join(parts[: _LENGTH.get(parts[0], 1)])] += 1

    async def answer(self, request: Request) -> Response | None:
        """None for a path that isn't known."""
        match request.path.strip("/").split("/"):
            case ["stats", "summary"]:
                return await self._summary(request.query.get("only_cpu_and_memory") in ("1", "true"))
            case ["metrics"]:
                return _metrics(await self._own())
            case ["metrics", "resource"]:
                reading = await self._collector.brief()
                return await asyncio.to_thread(_metrics, resource.families(reading))
            case ["metrics", "cadvisor"]:
                reading, _ = await self._collector.whole()
                return await asyncio.to_thread(_metrics, cadvisor.families(reading, self._version, self._cpus))
            case ["metrics", "probes"]:
                return _metrics(own.probe_families(self._probes()))
        return None

    async def _summary(self, only_cpu_and_memory: bool) -> Response:
        reading, rates = await self._collector.whole()
        found = await asyncio.to_thread(lambda: orjson.dumps(summary(reading, rates, only_cpu_and_memory=only_cpu_and_memory)))
        return Response(200, found, [("Content-Type", "application/json")])

    async def _own(self) -> Iterator[Family]:
        states = list(self._states())
        claims = any(volume.get("persistentVolumeClaim") for state in states for volume in state.pod["spec"].get("volumes") or ())
        reading = (await self._collector.whole())[0] if claims else await self._collector.brief()
        containers = Counter(word for state in states for word in map(_state_of, state.containers) if word)
        pods = sum(map(is_here, states))
        process = await asyncio.to_thread(own.this_process, machine.own_use(0).cpu_ns / 1e9, self._started_at)
        return own.families(own.Own(self._version, pods, containers, self._requests, process), reading)


def tallies_of(pods: Pods) -> Iterator[tuple[dict[str, str], str, Tally]]:
    """Those of all pods' probes."""
    for worker in pods:
        metadata = worker.state.pod["metadata"]
        for (container, kind), tally in list(worker.tallies.items()):
            pod = {"namespace": metadata["namespace"], "pod": metadata["name"], "pod_uid": metadata["uid"]}
            yield {"container": container, **pod}, kind, tally


def _state_of(container: Container) -> str:
    """As the runtime calls it; "" for one that isn't there."""
    if container.alive:
        return "running"
    return "exited" if container.exit is not None else "created" if container.id else ""


def _metrics(families: Iterable[Family]) -> Response:
    return Response(200, text(families).encode(), [("Content-Type", CONTENT_TYPE)])
