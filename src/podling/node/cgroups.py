"""The control groups of pods, by quality of service: what a pod's containers may use together.

Source: Kubernetes, "Pod overhead and cgroups"; the layout is the kubelet's with the cgroupfs driver.
"""

import asyncio
from dataclasses import dataclass

from podling.linux.cgroup import Group, Limits
from podling.node.pod.spec import Object, qos_class, uid_of
from podling.node.resources import CLASSES, cgroup_of_class, cpu_shares, pod_limits, pod_milli_cpu


@dataclass(frozen=True, slots=True)
class _Held:
    kind: str
    milli_cpu: int


class PodCgroups:
    """The groups below `root`, a path within each hierarchy."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._held: dict[str, _Held] = {}

    async def make(self, pod: Object) -> None:
        """The pod's group with its limits; nothing new if it is there. Raises OSError."""
        self._held[uid_of(pod)] = _Held(qos_class(pod), pod_milli_cpu(pod))
        await asyncio.to_thread(self._make, pod, self._weights())

    async def remove(self, uid: str) -> None:
        """Remove the pod's group, whatever its class was; nothing if it is gone. Raises OSError while processes are in it."""
        self._held.pop(uid, None)
        await asyncio.to_thread(self._remove, uid)

    def _weights(self) -> dict[str, int]:
        """The CPU weight of each class: what its pods ask for together; who asks for nothing gets the least."""
        burstable = sum(held.milli_cpu for held in self._held.values() if held.kind == "Burstable")
        return {"Burstable": cpu_shares(burstable), "BestEffort": cpu_shares(0)}

    def _make(self, pod: Object, weights: dict[str, int]) -> None:
        group = Group(f"{cgroup_of_class(qos_class(pod), self._root)}/pod{uid_of(pod)}")
        group.create()
        group.apply(pod_limits(pod))
        if (kind := qos_class(pod)) in weights:
            Group(cgroup_of_class(kind, self._root)).apply(Limits(cpu_shares=weights[kind]))

    def _remove(self, uid: str) -> None:
        for kind in CLASSES:
            Group(f"{cgroup_of_class(kind, self._root)}/pod{uid}").remove()
