"""What happens in the cluster, as plugins register for it: a pod that they rejected is tried again when it may help.

Source: Kubernetes documentation "Scheduling Framework", EnqueueExtension and QueueingHint; the names are upstream's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

from podling.scheduler.pod_info import PodInfo


class Action(Flag):
    """What happened to an object."""

    ADD = auto()
    DELETE = auto()
    UPDATE_NODE_ALLOCATABLE = auto()
    UPDATE_NODE_LABEL = auto()
    UPDATE_NODE_TAINT = auto()
    UPDATE_NODE_CONDITION = auto()
    UPDATE_NODE_ANNOTATION = auto()
    UPDATE_POD_LABEL = auto()
    UPDATE_POD_SCALE_DOWN = auto()
    UPDATE_POD_TOLERATION = auto()
    UPDATE_POD_SCHEDULING_GATES_ELIMINATED = auto()
    UPDATE_OTHER = auto()
    UPDATE_NODE = (
        UPDATE_NODE_ALLOCATABLE
        | UPDATE_NODE_LABEL
        | UPDATE_NODE_TAINT
        | UPDATE_NODE_CONDITION
        | UPDATE_NODE_ANNOTATION
        | UPDATE_OTHER
    )
    UPDATE_POD = (
        UPDATE_POD_LABEL | UPDATE_POD_SCALE_DOWN | UPDATE_POD_TOLERATION | UPDATE_POD_SCHEDULING_GATES_ELIMINATED | UPDATE_OTHER
    )
    UPDATE = UPDATE_NODE | UPDATE_POD
    ALL = ADD | DELETE | UPDATE


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """`resource` is a kind: Pod, Node, PersistentVolumeClaim ...; `*` stands for all of them."""

    resource: str
    action: Action

    def covers(self, other: "ClusterEvent") -> bool:
        return self.resource in ("*", other.resource) and bool(self.action & other.action)


# Called with the pod that waits, and the object before (None: new) and after (None: gone). Pods come as PodInfo, nodes as
# NodeInfo, all else as it is in the API. True: the pod is worth another try.
QueueingHint = Callable[[PodInfo, Any, Any], bool]


@dataclass(frozen=True, slots=True)
class EventWithHint:
    """Without a hint the event always is worth another try."""

    event: ClusterEvent
    hint: QueueingHint | None = None


def on(resource: str, action: Action, hint: QueueingHint | None = None) -> EventWithHint:
    return EventWithHint(ClusterEvent(resource, action), hint)


POD_ADDED = ClusterEvent("Pod", Action.ADD)  # assigned to a node
POD_DELETED = ClusterEvent("Pod", Action.DELETE)
NODE_ADDED = ClusterEvent("Node", Action.ADD)
NODE_DELETED = ClusterEvent("Node", Action.DELETE)
EVERYTHING = ClusterEvent("*", Action.ALL)
