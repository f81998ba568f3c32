"""A node with the pods on it. Immutable: a change makes a new one, which shares what stayed the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from podling.api.objects import Object, labels_of, name_of
from podling.scheduler.pod_info import PodInfo, Requests, amounts


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`counted` is (cpu, memory) with the defaults for pods that ask for none. `images` are sizes in bytes by name."""

    node: Object
    name: str
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    unschedulable: bool
    allocatable: Requests
    images: Mapping[str, int]
    pods: Mapping[str, PodInfo] = field(default_factory=dict)
    requested: Requests = field(default_factory=dict)
    counted: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, node: Object, pods: "NodeInfo | None" = None) -> "NodeInfo":
        """The node as it is now, with the pods of its former self."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        fresh = cls(
            node,
            name_of(node),
            labels_of(node),
            tuple(spec.get("taints") or ()),
            bool(spec.get("unschedulable")),
            amounts(status.get("allocatable") or status.get("capacity")),
            {name: image.get("sizeBytes", 0) for image in status.get("images") or () for name in image.get("names") or ()},
        )
        return fresh if pods is None else replace(fresh, pods=pods.pods, requested=pods.requested, counted=pods.counted)

    def with_pod(self, pod: PodInfo) -> "NodeInfo":
        return self._changed({**self.pods, pod.uid: pod}, pod, 1)

    def without_pod(self, uid: str) -> "NodeInfo":
        pod = self.pods[uid]
        return self._changed({key: value for key, value in self.pods.items() if key != uid}, pod, -1)

    def _changed(self, pods: dict[str, PodInfo], pod: PodInfo, sign: int) -> "NodeInfo":
        requested = dict(self.requested)
        for name, value in pod.requests.items():
            requested[name] = requested.get(name, 0) + sign * value
        counted = (self.counted[0] + sign * pod.counted[0], self.counted[1] + sign * pod.counted[1])
        return NodeInfo(
            self.node,
            self.name,
            self.labels,
            self.taints,
            self.unschedulable,
            self.allocatable,
            self.images,
            pods,
            requested,
            counted,
        )

    def judged_by(self) -> tuple[object, ...]:
        """What static plugins look at: equal before and after, their verdicts stand."""
        return (self.labels, self.taints, self.unschedulable, self.images)
