"""Which pod is where, as the scheduler must count: what the API server says, and what we assume until it says so."""

from podling.api.objects import Object, is_deleting, labels_of, name_of, uid_of
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


class Ledger:
    """Keeps the snapshot. Pods may come before their node: they are counted when it comes."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot if snapshot is not None else Snapshot()
        self._places: dict[str, tuple[str, PodInfo]] = {}  # uid -> node, pod
        self._assumed: set[str] = set()
        self._by_node: dict[str, set[str]] = {}
        self._nominated: dict[str, str] = {}  # uid -> node

    def __contains__(self, uid: str) -> bool:
        return uid in self._places

    def put_node(self, node: Object) -> None:
        name = name_of(node)
        known = name in self.snapshot.rows
        self.snapshot.put_node(node)
        if not known:
            for uid in self._by_node.get(name, ()):
                self.snapshot.add_pod(self._places[uid][1], name)

    def remove_node(self, name: str) -> None:
        if name in self.snapshot.rows:
            self.snapshot.remove_node(name)

    def put_pod(self, pod: PodInfo, node: str) -> None:
        """The server says that `pod` is on `node`."""
        self._assumed.discard(pod.uid)
        self.withdraw(pod.uid)
        old = self._places.get(pod.uid)
        if old is not None and old[0] == node and same_weight(old[1], pod):
            self._places[pod.uid] = (node, pod)
            if node in self.snapshot.rows:
                self.snapshot.renew_pod(pod, node)
            return
        self._take(pod.uid)
        self._place(pod, node)

    def confirm(self, pod: Object, node: str) -> bool:
        """The server says what we assumed, and nothing that is counted has changed."""
        known = self._places.get(uid_of(pod))
        if known is None or known[0] != node or known[1].uid not in self._assumed:
            return False
        if known[1].labels != labels_of(pod) or is_deleting(pod):
            return False
        self._assumed.discard(known[1].uid)
        return True

    def remove_pod(self, uid: str) -> None:
        self.withdraw(uid)
        self._assumed.discard(uid)
        self._take(uid)

    def assume(self, pod: PodInfo, node: str) -> None:
        """Count `pod` on `node` before the server knows."""
        self._assumed.add(pod.uid)
        self.withdraw(pod.uid)
        self._take(pod.uid)
        self._place(pod, node)

    def forget(self, uid: str) -> None:
        """Binding failed; unless the server has said otherwise meanwhile the pod is nowhere."""
        if uid in self._assumed:
            self.remove_pod(uid)

    def find(self, uid: str) -> PodInfo | None:
        """The pod as it is counted."""
        found = self._places.get(uid)
        return None if found is None else found[1]

    def nominate(self, pod: PodInfo) -> None:
        """Keep the room that is being cleared for `pod` (its `nominated`), or none."""
        self.withdraw(pod.uid)
        if pod.nominated:
            self._nominated[pod.uid] = pod.nominated
            self.snapshot.nominate(pod, pod.nominated)

    def withdraw(self, uid: str) -> None:
        node = self._nominated.pop(uid, None)
        if node is not None:
            self.snapshot.withdraw(uid, node)

    def nominated_below(self, pod: PodInfo, node: str) -> list[PodInfo]:
        """Less important pods that `node` was being cleared for."""
        return [other for other in self.snapshot.nominated.get(node, {}).values() if other.priority < pod.priority]

    def _place(self, pod: PodInfo, node: str) -> None:
        self._places[pod.uid] = (node, pod)
        self._by_node.setdefault(node, set()).add(pod.uid)
        if node in self.snapshot.rows:
            self.snapshot.add_pod(pod, node)

    def _take(self, uid: str) -> None:
        if uid not in self._places:
            return
        node, _ = self._places.pop(uid)
        self._by_node[node].discard(uid)
        if node in self.snapshot.rows and uid in self.snapshot.nodes[self.snapshot.rows[node]].pods:
            self.snapshot.remove_pod(uid, node)


def same_weight(one: PodInfo, other: PodInfo) -> bool:
    """Whether nothing has changed that anybody counts."""
    return (
        one.requests == other.requests
        and one.labels == other.labels
        and one.affinity == other.affinity
        and one.anti_affinity == other.anti_affinity
        and one.pod["metadata"].get("deletionTimestamp") == other.pod["metadata"].get("deletionTimestamp")
    )
