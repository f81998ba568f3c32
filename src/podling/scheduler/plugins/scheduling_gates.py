"""A pod with gates waits until they are taken away. Source: Kubernetes documentation "Pod Scheduling Readiness"."""

from podling.scheduler.framework import POD_CHANGED, Rejection
from podling.scheduler.pod_info import PodInfo


class SchedulingGates:
    name = "SchedulingGates"
    wakes = frozenset({POD_CHANGED})

    def pre_enqueue(self, pod: PodInfo) -> Rejection | None:
        gates = [gate["name"] for gate in pod.pod["spec"].get("schedulingGates") or ()]
        if not gates:
            return None
        return Rejection(self.name, (f"waiting for scheduling gates: [{' '.join(gates)}]",), resolvable=False)
