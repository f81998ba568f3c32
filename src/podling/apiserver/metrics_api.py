"""metrics.k8s.io: what nodes and pods use, asked of the agents when somebody asks here.

Nothing runs while nobody asks. Who asks first waits a second, for a rate takes two readings; who comes back within 90 seconds
gets the rate since the reading before. An answer serves for the time of one resolution, so that many who ask cost as one.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from podling.aio.client import HttpClient
from podling.aio.clock import Clock
from podling.aio.http import Response
from podling.api import durations
from podling.api.metrics.usage import GROUP, NODE_METRICS, POD_METRICS
from podling.api.objects import get, labels_of, name_of, namespace_of
from podling.api.status import ApiError, not_found
from podling.api.timestamps import rfc3339
from podling.apiserver.cache import Item
from podling.apiserver.call import Call
from podling.apiserver.compress import gzipped
from podling.apiserver.listing import selection
from podling.apiserver.locations import Wanted, of_node
from podling.apiserver.server import Endpoint, Handle
from podling.apiserver.usage import Scrape, Usage, Used, base, parse, used
from podling.base.errors import PodlingError
from podling.base.quantity import Quantity

log = logging.getLogger(__name__)

Object = dict[str, Any]

RESOLUTION = 15.0  # seconds that an answer serves for
PATIENCE = 10.0  # seconds that an agent has for its answer
FIRST_PAUSE = 1.0  # seconds between two readings, where there was none
_KEPT = 3  # readings of a node
_MOST_BYTES = 64 << 20


class Source(Protocol):
    """Asks the agent of a node for /metrics/resource."""

    async def scrape(self, node: Object) -> str:
        """Raises PodlingError, ApiError."""


class Agents:
    """Asks agents over TLS as the API server; `client` carries the certificate."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def scrape(self, node: Object) -> str:
        url = f"{of_node(Wanted('', name_of(node), ''), node).url}/metrics/resource"
        reply = await self._client.request("GET", url, timeout=PATIENCE)
        body = (await reply.body(_MOST_BYTES)).decode(errors="replace")
        if not reply.ok:
            raise ApiError(reply.status, "InternalError", body.strip()[:200])
        return body


@dataclass(slots=True)
class _Node:
    """What is known of one node. `lock` has those wait who ask while it is being asked."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    scrapes: deque[Scrape] = field(default_factory=lambda: deque(maxlen=_KEPT))
    asked_at: float = float("-inf")
    used: Used = field(default_factory=Used)


class MetricsApi:
    """The handlers of the group's resources."""

    def __init__(self, source: Source, clock: Clock, resolution: float = RESOLUTION) -> None:
        self._source = source
        self._clock = clock
        self._resolution = resolution
        self._nodes: dict[str, _Node] = {}

    @property
    def streams(self) -> Mapping[Endpoint, Handle]:
        """By endpoint, as the API server takes them."""
        return {(GROUP, "nodes", ""): self._of_nodes, (GROUP, "pods", ""): self._of_pods}

    # Requests

    async def _of_nodes(self, call: Call) -> Response:
        items = _chosen(call, "nodes")
        nodes = [item.object for item in items]
        answers = await asyncio.gather(*(self._ask(node) for node in nodes))
        found = [_node_metrics(node, one.node) for node, one in zip(nodes, answers, strict=True) if one.node is not None]
        return await _answer(call, found, "nodemetrics.metrics.k8s.io")

    async def _of_pods(self, call: Call) -> Response:
        pods = [item.object for item in _chosen(call, "pods")]
        names = {str(get(pod, "spec.nodeName", "")) for pod in pods}
        by_name = {name: item.object for name in names if name and (item := call.storage.of(("", "nodes")).get(name)) is not None}
        answers = await asyncio.gather(*(self._ask(node) for node in by_name.values()))
        usages = {key: one for answer in answers for key, one in answer.pods.items()}
        found = [_pod_metrics(pod, one) for pod in pods if (one := usages.get((namespace_of(pod), name_of(pod)))) is not None]
        self._forget(call)
        return await _answer(call, found, "podmetrics.metrics.k8s.io")

    def _forget(self, call: Call) -> None:
        """Nodes that have gone."""
        nodes = call.storage.of(("", "nodes"))
        self._nodes = {name: one for name, one in self._nodes.items() if nodes.get(name) is not None}

    # Agents

    async def _ask(self, node: Object) -> Used:
        known = self._nodes.setdefault(name_of(node), _Node())
        async with known.lock:
            if self._clock.monotonic() - known.asked_at >= 0.9 * self._resolution:  # who asks at this pace may be a bit early
                try:
                    await self._renew(node, known)
                except (PodlingError, ApiError, ValueError, OSError) as error:
                    log.warning("node %s doesn't tell what it uses: %s", name_of(node), error)
                    known.used = Used()
                known.asked_at = self._clock.monotonic()
            return known.used

    async def _renew(self, node: Object, known: _Node) -> None:
        latest = await self._scrape(node)
        before = base(known.scrapes, latest, 0.5 * self._resolution)
        if before is None:
            known.scrapes.clear()
            before = latest
            await self._clock.sleep(min(FIRST_PAUSE, self._resolution))
            latest = await self._scrape(node)
            known.scrapes.append(before)
        known.scrapes.append(latest)
        known.used = used(before, latest, self._resolution)

    async def _scrape(self, node: Object) -> Scrape:
        text = await self._source.scrape(node)
        return await asyncio.to_thread(parse, text) if len(text) > 1 << 16 else parse(text)


def _named(call: Call) -> str:
    """The object in the path; a field selector that names one still asks for a list."""
    return call.target.name if call.target is not None else ""


def _chosen(call: Call, plural: str) -> Iterable[Item]:
    """The objects of the core group that the request is about. Raises 400, 404."""
    cache, name = call.storage.of(("", plural)), _named(call)
    if name:
        item = cache.get(f"{call.namespace}/{name}" if call.kind.namespaced else name)
        if item is None:
            raise not_found(plural, f"{call.namespace}/{name}" if call.namespace else name)
        return [item]
    chosen = selection(call)
    return [item for item in cache.items(chosen.prefix) if chosen.everything or chosen.matches(item)]


async def _answer(call: Call, found: list[Object], resource: str) -> Response:
    """One, where the path names one, or a list. Raises 404."""
    if (name := _named(call)) and not found:
        plural, _, group = resource.partition(".")
        raise not_found(plural, f"{call.namespace}/{name}" if call.namespace else name, group)
    if name:
        return call.answer(call.form.one(orjson.dumps(found[0])))
    return await gzipped(call.answer(call.form.many([Item("", orjson.dumps(one), 0) for one in found], {})), call.request)


def _node_metrics(node: Object, usage: Usage) -> Object:
    return {**_head(NODE_METRICS.kind, node, [usage]), "usage": _amounts(usage)}


def _pod_metrics(pod: Object, usages: Mapping[str, Usage]) -> Object:
    containers = [{"name": name, "usage": _amounts(usage)} for name, usage in usages.items()]
    return {**_head(POD_METRICS.kind, pod, usages.values()), "containers": containers}


def _head(kind: str, of: Object, usages: Collection[Usage]) -> Object:
    at, window = min(usage.at for usage in usages), max(usage.window for usage in usages)
    metadata: Object = {"name": name_of(of), "creationTimestamp": rfc3339(at)}
    if namespace := namespace_of(of):
        metadata["namespace"] = namespace
    if labels := labels_of(of):
        metadata["labels"] = labels
    head = {"kind": kind, "apiVersion": NODE_METRICS.api_version, "metadata": metadata}
    return {**head, "timestamp": rfc3339(at), "window": durations.text(window)}


def _amounts(usage: Usage) -> Object:
    return {"cpu": str(Quantity(usage.cpu)), "memory": str(Quantity(usage.memory * 10**9, "BinarySI"))}
