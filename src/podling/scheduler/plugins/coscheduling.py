"""Pods of one group start together or not at all: each waits at Permit until as many have a place as the group needs.

A pod belongs to a group by the label `scheduling.x-k8s.io/pod-group`; how many it needs says `scheduling.x-k8s.io/min-member`.
The plugin isn't enabled by default. Arguments: `permitWaitingTimeSeconds` (60). Source: the Coscheduling plugin of
sigs.k8s.io/scheduler-plugins, with the group's size in a label instead of a PodGroup.
"""

from collections.abc import Iterable

from podling.api.objects import Object, is_deleting, labels_of, namespace_of, uid_of
from podling.client.resource import PODS
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Handle, Rejection, State, Wait
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

GROUP, MEMBERS = "scheduling.x-k8s.io/pod-group", "scheduling.x-k8s.io/min-member"


class Coscheduling:
    name = "Coscheduling"

    def __init__(self, args: Object | None = None, handle: Handle | None = None) -> None:
        handle = handle or Handle()
        self._seconds = float((args or {}).get("permitWaitingTimeSeconds", 60))
        self._pods = handle.objects(PODS)
        self._waiting = handle.waiting
        self._reserved: dict[str, set[str]] = {}  # by group: uids of pods with a place

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Pod", Action.ADD | Action.DELETE, self._concerns),)

    def _concerns(self, pod: PodInfo, old: PodInfo | None, new: PodInfo | None) -> bool:
        """One of the group has come; or somebody has left room."""
        return new is None or group_of(pod) == group_of(new)

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool | Rejection:
        """There is no use in holding places for a group that isn't complete."""
        group = group_of(pod)
        if not group:
            return False
        there = sum(_group(one) == group and not is_deleting(one) for one in self._pods)
        if there >= members_of(pod):
            return False
        text = f"cannot find enough sibling pods, current pods number: {there}, minMember of group: {members_of(pod)}"
        return Rejection(self.name, (f"pre-filter pod {pod.pod['metadata']['name']} {text}",), resolvable=False)

    def reserve(self, state: State, pod: PodInfo, node: str) -> Rejection | None:
        if group := group_of(pod):
            self._reserved.setdefault(group, set()).add(pod.uid)
        return None

    def unreserve(self, state: State, pod: PodInfo, node: str) -> None:
        """One that gives up takes the others of its group along."""
        group = group_of(pod)
        reserved = self._reserved.get(group)
        if not group or reserved is None or pod.uid not in reserved:
            return
        reserved.discard(pod.uid)
        for other in list(self._waiting()):
            if group_of(other.pod) == group and other.pod.uid != pod.uid:
                other.reject(self.name, f"rejection in Unreserve: pod {pod.key} of its group has no place")
        if not reserved:
            self._reserved.pop(group, None)

    def permit(self, state: State, pod: PodInfo, node: str) -> Rejection | Wait | None:
        group = group_of(pod)
        if not group:
            return None
        placed = {uid_of(one) for one in self._pods if _group(one) == group and one["spec"].get("nodeName")}
        if len(placed | self._reserved.get(group, set())) < members_of(pod):
            return Wait(self._seconds)
        for other in list(self._waiting()):
            if group_of(other.pod) == group:
                other.allow(self.name)
        return None

    async def post_bind(self, state: State, pod: PodInfo, node: str) -> None:
        """From now on the API says where it is."""
        group = group_of(pod)
        if group in self._reserved:
            self._reserved[group].discard(pod.uid)


def group_of(pod: PodInfo) -> str:
    name = pod.labels.get(GROUP)
    return f"{pod.namespace}/{name}" if name else ""


def _group(pod: Object) -> str:
    name = labels_of(pod).get(GROUP)
    return f"{namespace_of(pod)}/{name}" if name else ""


def members_of(pod: PodInfo) -> int:
    try:
        return int(pod.labels.get(MEMBERS, "1"))
    except ValueError:
        return 1
