"""A pod with gates waits until they are taken away. Source: Kubernetes documentation "Pod Scheduling Readiness"."""

from collections.abc import Iterable

from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection
from podling.scheduler.pod_info import PodInfo


class SchedulingGates:
    name = "SchedulingGates"

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Pod", Action.UPDATE_POD_SCHEDULING_GATES_ELIMINATED),)

    def pre_enqueue(self, pod: PodInfo) -> Rejection | None:
        gates = [gate["name"] for gate in pod.pod["spec"].get("schedulingGates") or ()]
        if not gates:
            return None
        return Rejection(self.name, (f"waiting for scheduling gates: [{' '.join(gates)}]",), resolvable=False)
