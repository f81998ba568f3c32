"""The most important pod first, of equals the one that has waited longest."""

from podling.scheduler.pod_info import PodInfo


class PrioritySort:
    name = "PrioritySort"

    def events_to_register(self) -> tuple[()]:
        return ()

    def sort_key(self, pod: PodInfo, since: float) -> tuple[int, float]:
        return -pod.priority, since
