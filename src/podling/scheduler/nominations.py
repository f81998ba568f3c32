"""Rooms that are being cleared: a node that preemption clears for one pod isn't given to a less important one meanwhile.

Source: Kubernetes documentation "Pod Priority and Preemption"; a node must do with the nominated pods on it, and without them.
"""

from podling.scheduler.framework import Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.snapshot import Snapshot


def promised(pod: PodInfo, snapshot: Snapshot) -> list[int]:
    """The rows that are being cleared for others that are as important as `pod`, or more."""
    if not snapshot.nominated:
        return []
    found = [node for node in snapshot.nominated if _before(pod, node, snapshot)]
    return [snapshot.rows[node] for node in found if node in snapshot.rows]


def _before(pod: PodInfo, node: str, snapshot: Snapshot) -> list[PodInfo]:
    """The pods that `node` is being cleared for, and that come first."""
    waiting = snapshot.nominated.get(node)
    if not waiting:
        return []
    return [other for other in waiting.values() if other.priority >= pod.priority and other.uid != pod.uid]


def filter_with_nominated(state: State, pod: PodInfo, snapshot: Snapshot, row: int, profile: Profile) -> Rejection | None:
    """The verdict of all filters on one node, also when the pods come for which it is being cleared."""
    return filter_on(state, pod, snapshot.nodes[row], snapshot, profile)


def filter_on(state: State, pod: PodInfo, node: NodeInfo, snapshot: Snapshot, profile: Profile) -> Rejection | None:
    """The same for a node as it would be; `state` belongs to it."""
    if others := _before(pod, node.name, snapshot):
        crowded = state.clone()
        full = node
        for other in others:
            if other.uid not in full.pods:
                full = full.with_pod(other)
                add_pod(crowded, pod, other, full, profile)
        if (rejection := filtered(crowded, pod, full, profile)) is not None:
            return rejection
    return filtered(state, pod, node, profile)


def filtered(state: State, pod: PodInfo, node: NodeInfo, profile: Profile) -> Rejection | None:
    """The first rejection of one node by all filters."""
    for one in profile.at("filter"):
        if one.name not in state.skipped and (rejection := one.filter(state, pod, node)) is not None:
            found: Rejection = rejection
            return found
    return None


def add_pod(state: State, pod: PodInfo, other: PodInfo, node: NodeInfo, profile: Profile) -> None:
    for one in profile.extensions:
        if one.name not in state.skipped:
            one.add_pod(state, pod, other, node)


def remove_pod(state: State, pod: PodInfo, other: PodInfo, node: NodeInfo, profile: Profile) -> None:
    for one in profile.extensions:
        if one.name not in state.skipped:
            one.remove_pod(state, pod, other, node)
