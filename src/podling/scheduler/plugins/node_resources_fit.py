"""What the pod asks for must be free; how full a node should become is the strategy's matter.

Source: Kubernetes documentation "Resource Management for Pods and Containers", how Pods with resource requests are scheduled;
"Resource Bin Packing".
"""

from collections.abc import Iterable
from typing import Any

from podling.api.objects import Object
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.plugins.allocation import Strategy
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


class NodeResourcesFit:
    name = "NodeResourcesFit"
    local = True

    def __init__(self, args: Object | None = None) -> None:
        given = args or {}
        self._ignored = frozenset(given.get("ignoredResources") or ())
        self._ignored_groups = frozenset(given.get("ignoredResourceGroups") or ())
        self._strategy = Strategy.of(given.get("scoringStrategy") or {})

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (
            on("Pod", Action.DELETE, self._freed),
            on("Pod", Action.UPDATE_POD_SCALE_DOWN),
            on("Node", Action.ADD | Action.UPDATE_NODE_ALLOCATABLE, self._fits_alone),
        )

    def _freed(self, pod: PodInfo, old: PodInfo, new: None) -> bool:
        """A pod's place is free in any case."""
        return True

    def _fits_alone(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        return self.filter(State(), pod, new) is None

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        allocatable, requested = node.allocatable, node.requested
        reasons = ["Too many pods"] if len(node.pods) + 1 > allocatable.get("pods", 0) else []
        resolvable = True
        for resource, asked in pod.requests.items():
            most = allocatable.get(resource, 0)
            if asked and asked > most - requested.get(resource, 0) and not self._ignores(resource):
                reasons.append(f"Insufficient {resource}")
                resolvable = resolvable and asked <= most
        return Rejection(self.name, tuple(reasons), resolvable) if reasons else None

    def _ignores(self, resource: str) -> bool:
        return resource in self._ignored or resource.partition("/")[0] in self._ignored_groups

    def _asked(self, pod: PodInfo) -> list[tuple[str, int]]:
        return [(resource, asked) for resource, asked in pod.requests.items() if asked and not self._ignores(resource)]

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        table = snapshot.table
        fits = table.pods < table.allocatable("pods")
        for resource, asked in self._asked(pod):
            fits &= table.allocatable(resource) - table.requested(resource) >= asked
        return fits

    def reasons(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> tuple[dict[str, int], list[int]]:
        table = snapshot.table
        found = {"Too many pods": int((table.pods[rows] >= table.allocatable("pods")[rows]).sum())}
        resolvable = snapshot.numpy.ones(len(rows), dtype=bool)
        for resource, asked in self._asked(pod):
            most = table.allocatable(resource)[rows]
            found[f"Insufficient {resource}"] = int((most - table.requested(resource)[rows] < asked).sum())
            resolvable &= asked <= most
        return {reason: count for reason, count in found.items() if count}, rows[resolvable].tolist()

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        return self._strategy.score(pod, node)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        return self._strategy.scores(pod, snapshot, rows)
