"""What the informers tell: it is counted in the ledger, queued, and said to those who wait for it."""

from collections.abc import Mapping
from typing import Any

from podling.api import selectors
from podling.api.objects import (
    Object,
    controller_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from podling.api.selectors import Selector
from podling.client.informer import Handler, Informers
from podling.client.resource import NAMESPACES, NODES, PODS, REPLICA_SETS, SERVICES, Resource
from podling.scheduler.events import NODE_ADDED, NODE_DELETED, POD_ADDED, POD_DELETED, Action, ClusterEvent
from podling.scheduler.ledger import Ledger
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.queue import SchedulingQueue
from podling.scheduler.waiting import WaitingPods

NEEDED = (NODES, PODS, REPLICA_SETS, NAMESPACES)


class Intake:
    """Handlers of informer events; they note and return. `others` are resources that plugins look at."""

    def __init__(
        self,
        informers: Informers,
        ledger: Ledger,
        queue: SchedulingQueue,
        profiles: Mapping[str, Profile],
        waiting: WaitingPods,
        others: tuple[Resource, ...],
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._profiles = profiles
        self._waiting = waiting
        self._services = informers.of(SERVICES).index("namespace").cache
        self._sets = informers.of(REPLICA_SETS).cache
        self._namespaces = informers.of(NAMESPACES)
        self._nodes, self._pods = informers.of(NODES), informers.of(PODS)
        self._handlers: list[tuple[Any, Handler]] = [
            (self._namespaces, self._namespace),
            (self._nodes, self._node),
            (self._pods, self._pod),
        ]
        for resource in others:
            if resource not in (NODES, PODS):
                self._handlers.append((informers.of(resource), self._other(resource.kind)))

    def start(self) -> None:
        for informer, handler in self._handlers:
            informer.add_handler(handler)

    def stop(self) -> None:
        for informer, handler in self._handlers:
            informer.remove_handler(handler)

    def _other(self, kind: str) -> Handler:
        def tell(old: Object | None, new: Object | None) -> None:
            action = Action.ADD if old is None else Action.DELETE if new is None else Action.UPDATE_OTHER
            self._queue.wake(ClusterEvent(kind, action), old, new)

        return tell

    # --- nodes

    def _node(self, old: Object | None, new: Object | None) -> None:
        name = name_of(new or old or {})
        row = self._ledger.snapshot.rows.get(name)
        before = None if row is None else self._ledger.snapshot.nodes[row]
        if new is None:
            self._ledger.remove_node(name)
            self._queue.wake(NODE_DELETED, before)
            return
        self._ledger.put_node(new)
        after = self._ledger.snapshot.nodes[self._ledger.snapshot.rows[name]]
        if before is None or old is None:
            self._queue.wake(NODE_ADDED, None, after)
        elif action := node_changes(before, after):
            self._queue.wake(ClusterEvent("Node", action), before, after)

    # --- namespaces

    def _namespace(self, old: Object | None, new: Object | None) -> None:
        """Namespace selectors are resolved when a pod is read: those that have some are read anew."""
        if old is not None and new is not None and labels_of(old) == labels_of(new):
            return
        for waiting in self._queue.all():
            if waiting.pod.selects_namespaces:
                self._queue.add(self._read(waiting.pod.pod), waiting.profile, gated=waiting.gated)
        for node in list(self._ledger.snapshot):
            for pod in list(node.pods.values()):
                if pod.selects_namespaces:
                    self._ledger.put_pod(self._read(pod.pod), node.name)

    def _named_by(self, selector: Selector) -> frozenset[str]:
        return frozenset(name_of(one) for one in self._namespaces.cache if selector.matches(labels_of(one)))

    # --- pods

    def _pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or is_finished(new):
            self._pod_left(new or old or {})
        elif node := new["spec"].get("nodeName"):
            self._pod_placed(old, new, node)
        elif (profile := self._profiles.get(new["spec"].get("schedulerName", "default-scheduler"))) is not None:
            self._pod_waits(old, new, profile)

    def _pod_left(self, pod: Object) -> None:
        uid = uid_of(pod)
        placed = self._ledger.find(uid)
        self._ledger.remove_pod(uid)
        self._queue.remove(uid)
        if (permit := self._waiting.get(uid)) is not None:
            permit.reject("", "pod is deleted")
        if placed is not None:
            self._queue.wake(POD_DELETED, placed)

    def _pod_placed(self, old: Object | None, new: Object, node: str) -> None:
        self._queue.remove(uid_of(new))
        if self._ledger.confirm(new, node):
            self._queue.wake(POD_ADDED, None, self._ledger.find(uid_of(new)))
            return
        if old is not None and old["spec"].get("nodeName") and weighs(old) == weighs(new):
            return
        before = self._ledger.find(uid_of(new))
        after = self._read(new)
        self._ledger.put_pod(after, node)
        if before is None:
            self._queue.wake(POD_ADDED, None, after)
        elif action := pod_changes(before, after):
            self._queue.wake(ClusterEvent("Pod", action), before, after)

    def _pod_waits(self, old: Object | None, new: Object, profile: Profile) -> None:
        uid = uid_of(new)
        if is_deleting(new):
            self._queue.remove(uid)
            self._ledger.withdraw(uid)
            if (permit := self._waiting.get(uid)) is not None:
                permit.reject("", "pod is being deleted")
            return
        if uid in self._ledger:  # assumed: its binding is on the way
            return
        pod = self._read(new)
        known = self._queue.get(uid)
        if known is not None and old is not None and weighs(old) == weighs(new):
            if known.pod.nominated != pod.nominated:
                self._ledger.nominate(pod)
            self._queue.replace(pod)
            return
        if pod.nominated:
            self._ledger.nominate(pod)
        gated = any(one.pre_enqueue(pod) is not None for one in profile.at("preEnqueue"))
        self._queue.add(pod, profile, gated=gated)

    def _read(self, pod: Object) -> PodInfo:
        return PodInfo.of(pod, self._belongs_with(pod), self._named_by)

    def _belongs_with(self, pod: Object) -> Selector | None:
        """What selects the pod's like: all Services that select it, and its owner. None where there are none."""
        labels = labels_of(pod)
        requirements: list[selectors.Requirement] = []
        for service in self._services.find("namespace", namespace_of(pod)):
            selector = selectors.of_labels(service["spec"].get("selector"))
            if not selector.nothing and not selector.everything and selector.matches(labels):
                requirements += selector.requirements
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == REPLICA_SETS.kind:
            owned_by = self._sets.get(f"{namespace_of(pod)}/{owner['name']}")
            if owned_by is not None:
                requirements += selectors.of_object(owned_by["spec"].get("selector")).requirements
        return Selector(tuple(dict.fromkeys(requirements))) if requirements else None


def node_changes(old: NodeInfo, new: NodeInfo) -> Action:
    """What has changed that somebody may wait for; nothing is false."""
    action = Action(0)
    if old.allocatable != new.allocatable:
        action |= Action.UPDATE_NODE_ALLOCATABLE
    if old.labels != new.labels:
        action |= Action.UPDATE_NODE_LABEL
    if (old.taints, old.unschedulable) != (new.taints, new.unschedulable):
        action |= Action.UPDATE_NODE_TAINT
    if (old.node["metadata"].get("annotations") or {}) != (new.node["metadata"].get("annotations") or {}):
        action |= Action.UPDATE_NODE_ANNOTATION
    if _conditions(old) != _conditions(new):
        action |= Action.UPDATE_NODE_CONDITION
    return action


def _conditions(node: NodeInfo) -> list[tuple[str, str]]:
    return [(one["type"], one["status"]) for one in (node.node.get("status") or {}).get("conditions") or ()]


def pod_changes(old: PodInfo, new: PodInfo) -> Action:
    """The same of a pod on a node."""
    action = Action(0)
    if old.labels != new.labels:
        action |= Action.UPDATE_POD_LABEL
    if any(new.requests.get(name, 0) < value for name, value in old.requests.items()):
        action |= Action.UPDATE_POD_SCALE_DOWN
    if old.pod["spec"].get("tolerations") != new.pod["spec"].get("tolerations"):
        action |= Action.UPDATE_POD_TOLERATION
    if is_deleting(old.pod) != is_deleting(new.pod):
        action |= Action.UPDATE_OTHER
    return action


def weighs(pod: Object) -> tuple[object, ...]:
    """What of a pod a scheduler looks at."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    return (pod["spec"], metadata.get("labels"), metadata.get("deletionTimestamp"), status.get("startTime"))


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
