"""Keeps the kernel's maps of services as Services and EndpointSlices say: one transaction for what has changed."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.base.errors import PodlingError
from podling.client.backoff import Backoff
from podling.client.informer import Informer
from podling.linux.conntrack import Flows
from podling.linux.nft import RuleSet
from podling.node.pod.spec import Object, key_of
from podling.node.proxy import table
from podling.node.proxy.flows import left_behind
from podling.node.proxy.rules import ElementKey, Elements, Value, chains_of, changes, elements_of, host_port_elements

log = logging.getLogger(__name__)

_SERVICE_LABEL = "kubernetes.io/service-name"
_POD = "pod:"  # before the key of a pod with host ports, among the keys of services
_FIRST_COUNTS = range(1, 9)
_CHUNK = 16  # numbers of endpoints whose chains are made at once


def service_of(endpoint_slice: Object) -> list[str]:
    """An index of EndpointSlices: `namespace/service`."""
    metadata = endpoint_slice["metadata"]
    name = (metadata.get("labels") or {}).get(_SERVICE_LABEL)
    return [f"{metadata['namespace']}/{name}"] if name else []


class Proxy:
    """The service proxy of one node. `pods` are those on it, for their host ports; `name` is the nft table's, one a podling."""

    def __init__(
        self,
        nft: RuleSet,
        name: str,
        services: Informer,
        slices: Informer,
        pods: Informer,
        clock: Clock,
        *,
        node: str,
        reserved: str = "",
        flows: Flows | None = None,
    ) -> None:
        self._nft = nft
        self._flows = flows or Flows()
        self._table = name
        self._services = services
        self._slices = slices.index("service", service_of)
        self._pods = pods
        self._clock = clock
        self._node = node
        self._reserved = reserved
        self._tasks = Tasks("service proxy")
        self._dirty: set[str] = set()
        self._woken = asyncio.Event()
        self._held: dict[str, Elements] = {}
        self._needs: Counter[ElementKey] = Counter()
        self._kernel: dict[ElementKey, Value] = {}
        self._unclaimed: set[ElementKey] = set()  # left by an earlier process, and not yet asked for
        self._counts: set[int] = set()
        self._timeouts: set[int] = set()

    async def start(self, ranges: table.Ranges) -> None:
        """Take over the table that an earlier process left, or make it; then follow the informers, which are synced."""
        marker = table.marker(ranges)
        shown = await self._nft.show("table", table.FAMILY, self._table)
        chains = {item["chain"]["name"] for item in shown if "chain" in item}
        if marker in chains:
            self._counts, self._timeouts = table.counts_in(chains), table.timeouts_in(chains)
            for name in table.SETS:
                elements = self._nft.elements(table.FAMILY, self._table, name)
                self._kernel |= {(name, element.key): element.value for element in elements}
        else:
            self._counts = set(_FIRST_COUNTS)
            await self._nft.apply(table.base(self._table, ranges) + table.chains(self._table, self._counts))
        self._unclaimed = set(self._kernel)
        self._services.add_handler(lambda old, new: self._touch([key_of(new or old or {})]))
        self._slices.add_handler(lambda old, new: self._touch({*service_of(old or new or {}), *service_of(new or old or {})}))
        self._pods.add_handler(lambda old, new: self._touch([_POD + key_of(new or old or {})]))
        self._woken.set()
        self._tasks.start(self._run(), "rules")

    async def close(self) -> None:
        """Stop following. The rules stay, so that services go on while the agent is away."""
        await self._tasks.cancel()

    def _touch(self, services: Iterable[str]) -> None:
        self._dirty.update(services)
        self._woken.set()

    async def _run(self) -> None:
        backoff = Backoff(first=0.1, most=30.0)
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._sync()
            except (PodlingError, OSError) as error:
                log.warning("services could not be changed, again soon: %s", error)
                self._woken.set()
                await self._clock.sleep(backoff.next())
            else:
                backoff.reset()

    async def _sync(self) -> None:
        dirty = set(self._dirty)
        wanted = {key: self._elements(key) for key in dirty}
        await self._ensure_chains(set().union(*(chains_of(each) for each in wanted.values())))
        step = self._plan(wanted)
        self._nft.change(table.FAMILY, self._table, changes(step.before, step.after))
        self._note(wanted, step)
        self._dirty -= dirty
        if left := left_behind(step.before, step.after):
            await asyncio.to_thread(self._flows.forget, left.covers)

    def _plan(self, wanted: dict[str, Elements]) -> "_Step":
        """What the change of these keys means for the kernel. An element stays as long as anybody needs it."""
        needs: Counter[ElementKey] = Counter()
        values: dict[ElementKey, Value] = {}
        for key, new in wanted.items():
            needs.subtract(self._held.get(key, {}).keys())
            needs.update(new.keys())
            values |= new
        touched = needs.keys() | self._unclaimed
        before = {each: self._kernel[each] for each in touched if each in self._kernel}
        known = before | values
        after = {each: known[each] for each in touched if self._needs[each] + needs[each] > 0}
        return _Step(needs, before, after)

    def _note(self, wanted: dict[str, Elements], step: "_Step") -> None:
        self._needs.update(step.needs)
        self._unclaimed = set()
        for key in step.before.keys() - step.after.keys():
            del self._kernel[key]
            self._needs.pop(key, None)
        self._kernel |= step.after
        for name, new in wanted.items():
            if new:
                self._held[name] = new
            else:
                self._held.pop(name, None)

    def _elements(self, key: str) -> Elements:
        if key.startswith(_POD):
            return host_port_elements(self._pods.cache.get(key.removeprefix(_POD)))
        return elements_of(self._services.cache.get(key), self._slices.cache.find("service", key), self._node, self._reserved)

    async def _ensure_chains(self, names: set[str]) -> None:
        """Have those that are named, and some more for the next numbers of endpoints."""
        counts, timeouts = table.counts_in(names), table.timeouts_in(names) - self._timeouts
        if timeouts:
            await self._nft.apply(table.affinity_chains(self._table, sorted(self._counts), sorted(timeouts)))
            self._timeouts |= timeouts
        if counts - self._counts:
            missing = set(range(1, -(-max(counts) // _CHUNK) * _CHUNK + 1)) - self._counts
            await self._nft.apply(table.chains(self._table, sorted(missing), sorted(self._timeouts)))
            self._counts |= missing


@dataclass(frozen=True, slots=True)
class _Step:
    """How many more need each element, and the elements concerned, as they are and as they shall be."""

    needs: Counter[ElementKey]
    before: dict[ElementKey, Value]
    after: dict[ElementKey, Value]
