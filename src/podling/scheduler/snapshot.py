"""The cluster as one scheduling cycle sees it. It changes between cycles, one row at a time, and never during one.

Rows are nodes. Beside the rows stand what would be costly to find anew for every pod: verdicts by the pods' template, counts of
pods by selector and by the terms of their affinity, nodes by topology value, and over many nodes the resources as numpy arrays.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from podling.api.objects import Object, is_deleting
from podling.api.selectors import Selector
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Term
from podling.scheduler.table import Table, Topology, load_numpy

VECTOR_FROM = 300  # nodes from which numpy pays for its import
REMEMBERED = 256  # templates, selectors
LONGEST_LOG = 10_000  # changes

Namespaces = frozenset[str] | None


class Remembered(OrderedDict[Any, Any]):
    """The values used last."""

    def of(self, key: Any, make: Callable[[], Any]) -> Any:
        if key in self:
            self.move_to_end(key)
        else:
            self[key] = make()
            if len(self) > REMEMBERED:
                self.popitem(last=False)
        return self[key]


class Snapshot:
    def __init__(self, *, vector_from: int = VECTOR_FROM) -> None:
        self.nodes: list[NodeInfo] = []
        self.rows: dict[str, int] = {}
        self.nominated: dict[str, dict[str, PodInfo]] = {}  # node -> uid -> pods for which it is being cleared
        self.changed: list[int] = []  # rows, in the order of their changes since `age` began
        self.age = 0
        self._vector_from = vector_from
        self._numpy: Any = None
        self._table: Table | None = None
        self._kept = Remembered()
        self._tallies = Remembered()
        self._terms: dict[str, dict[Term, _TermTally]] | None = None
        self._topologies: dict[str, Topology] = {}

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self.nodes)

    @property
    def numpy(self) -> Any:
        """numpy where there are so many nodes that it pays, else None."""
        if len(self.nodes) <= self._vector_from:
            return None
        if self._numpy is None:
            self._numpy = load_numpy()
        return self._numpy

    @property
    def table(self) -> Table:
        """Only where `numpy` is."""
        if self._table is None:
            self._table = Table(self.numpy, self.nodes)
        return self._table

    # --- changes, between cycles

    def put_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        row = self.rows.get(name)
        if row is None:
            self.rows[name] = len(self.nodes)
            self.nodes.append(NodeInfo.of(node))
            self._forget_all()
            return
        old = self.nodes[row]
        new = NodeInfo.of(node, old)
        if old.labels != new.labels:
            self._topologies.clear()
        self._replace(row, new)
        if old.judged_by() != new.judged_by():
            for kept in self._kept.values():
                kept.renew(row, new)

    def remove_node(self, name: str) -> None:
        """The last row takes the place of the one that goes."""
        row = self.rows.pop(name)
        last = self.nodes.pop()
        if last.name != name:
            self.nodes[row] = last
            self.rows[last.name] = row
        self._forget_all()

    def add_pod(self, pod: PodInfo, node: str) -> None:
        row = self.rows[node]
        self._replace(row, self.nodes[row].with_pod(pod))
        self._count(pod, row, 1)

    def remove_pod(self, uid: str, node: str) -> None:
        row = self.rows[node]
        pod = self.nodes[row].pods[uid]
        self._replace(row, self.nodes[row].without_pod(uid))
        self._count(pod, row, -1)

    def renew_pod(self, pod: PodInfo, node: str) -> None:
        """The same pod, changed in nothing that is counted."""
        row = self.rows[node]
        old = self.nodes[row]
        self.nodes[row] = replace(old, pods={**old.pods, pod.uid: pod})

    def nominate(self, pod: PodInfo, node: str) -> None:
        self.nominated.setdefault(node, {})[pod.uid] = pod

    def withdraw(self, uid: str, node: str) -> None:
        """The pod isn't nominated any more."""
        if node in self.nominated:
            self.nominated[node].pop(uid, None)
            if not self.nominated[node]:
                del self.nominated[node]

    def _replace(self, row: int, node: NodeInfo) -> None:
        self.nodes[row] = node
        if self._table is not None:
            self._table.renew(row, node)
        if len(self.changed) >= LONGEST_LOG:
            self.changed = []
            self.age += 1
        self.changed.append(row)

    def _count(self, pod: PodInfo, row: int, step: int) -> None:
        for (namespaces, selector, leaving), counts in self._tallies.items():
            if counts_for(pod, namespaces, selector, leaving):
                counts[row] += step
        if self._terms is not None and pod.has_affinity:
            for role, term in roles(pod):
                self._count_term(self._terms[role], term, row, step)

    def _count_term(self, tallies: "dict[Term, _TermTally]", term: Term, row: int, step: int) -> None:
        tally = tallies.get(term)
        if tally is None:
            tally = tallies[term] = _TermTally(self._array([0] * len(self.nodes)))
        tally.rows[row] += step
        tally.pods += step
        if not tally.pods:
            del tallies[term]

    def _array(self, values: list[int]) -> Any:
        return values if self.numpy is None else self.numpy.array(values, dtype="i8")

    def _forget_all(self) -> None:
        self._table = None
        self._terms = None
        self._kept.clear()
        self._tallies.clear()
        self._topologies.clear()
        self.changed = []
        self.age += 1

    # --- what is kept from pod to pod

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes, until nodes come or go, or others are used more. Its `renew(row, node)` hears of changed nodes."""
        return self._kept.of(key, make)

    def tally(self, namespaces: Namespaces, selector: Selector, *, leaving: bool = True) -> Any:
        """How many pods each row has that `selector` matches, those on their way out with `leaving` only.

        A list, or an array where numpy is; not to be changed.
        """
        return self._tallies.of((namespaces, selector, leaving), lambda: self._tallied(namespaces, selector, leaving))

    def _tallied(self, namespaces: Namespaces, selector: Selector, leaving: bool) -> Any:
        return self._array(
            [sum(counts_for(pod, namespaces, selector, leaving) for pod in node.pods.values()) for node in self.nodes]
        )

    def terms(self, role: str) -> Iterable[tuple[Term, Any]]:
        """The affinity terms of all placed pods, with how many such pods each row has. `role` is one of ROLES."""
        if self._terms is None:
            self._terms = {name: {} for name in ROLES}
            for row, node in enumerate(self.nodes):
                for pod in node.pods.values():
                    if pod.has_affinity:
                        for name, term in roles(pod):
                            self._count_term(self._terms[name], term, row, 1)
        return [(term, tally.rows) for term, tally in self._terms[role].items()]

    def topology(self, key: str) -> Topology:
        if key not in self._topologies:
            self._topologies[key] = Topology(self.numpy, self.nodes, key)
        return self._topologies[key]


class _TermTally:
    __slots__ = ("pods", "rows")

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.pods = 0


ROLES = ("affinity", "anti-affinity", "preferred")


def roles(pod: PodInfo) -> Iterator[tuple[str, Term]]:
    for role, terms in zip(ROLES, (pod.affinity, pod.anti_affinity, pod.preferred), strict=True):
        for term in terms:
            yield role, term


def counts_for(pod: PodInfo, namespaces: Namespaces, selector: Selector, leaving: bool) -> bool:
    return (
        (namespaces is None or pod.namespace in namespaces)
        and selector.matches(pod.labels)
        and (leaving or not is_deleting(pod.pod))
    )
