"""How the pods of a former template are renewed: which may go, and which nodes get a second pod meanwhile.

Source: v1 RollingUpdateDaemonSet; k8s.io/kubernetes pkg/controller/daemon/update.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podling.api.intstr import scaled
from podling.api.objects import Object, get, is_deleting, labels_of
from podling.controllers import pods as pod_facts
from podling.controllers.history import POD_LABEL

Nodes = Mapping[str, list[Object]]  # the pods by node; of each node that should have one


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many nodes may be without an available pod, or have two. One of them is 0."""

    unavailable: int
    surge: int


def bounds(owner: Object, desired: int) -> Bounds:
    rolling = get(owner, "spec.updateStrategy.rollingUpdate", {})
    surge = scaled(rolling.get("maxSurge") or 0, desired, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", 1), desired, round_up=True)
    return Bounds(unavailable if unavailable or surge else 1, surge)


def surges(owner: Object) -> bool:
    """Whether new pods come before old ones go."""
    rolling = get(owner, "spec.updateStrategy.type", "RollingUpdate") == "RollingUpdate"
    return rolling and get(owner, "spec.updateStrategy.rollingUpdate.maxSurge", 0) not in (0, "0%")


def is_new(pod: Object, revision: str) -> bool:
    return labels_of(pod).get(POD_LABEL) == revision


@dataclass(slots=True)
class Rollout:
    """The next step: `going` are pods to delete, `coming` nodes to make a pod for."""

    owner: Object
    revision: str
    now: float
    going: list[Object] = field(default_factory=list)
    coming: list[str] = field(default_factory=list)

    def step(self, nodes: Nodes) -> "Rollout":
        limits = bounds(self.owner, len(nodes))
        if limits.surge:
            self._surge(nodes, limits.surge)
        else:
            self._replace(nodes, limits.unavailable)
        return self

    def _available(self, pod: Object) -> bool:
        min_ready = self.owner["spec"].get("minReadySeconds") or 0
        return not is_deleting(pod) and pod_facts.wait_until_available(pod, min_ready, self.now) == 0

    def _replace(self, nodes: Nodes, most: int) -> None:
        """Old pods that serve nobody go at once; those that serve as long as not too many nodes are without."""
        without, serving = 0, []
        for pods in nodes.values():
            new, old = self._sides(pods)
            if new or not old:
                without += not any(self._available(pod) for pod in new)
            elif any(self._available(pod) for pod in old):
                serving += old
            else:
                without += 1
                self.going += [pod for pod in old if not is_deleting(pod)]
        self.going += serving[: max(0, most - without)]

    def _surge(self, nodes: Nodes, most: int) -> None:
        """A second pod on as many nodes as may have one; the old one goes when the new one serves."""
        doubled, candidates = 0, []
        for node, pods in nodes.items():
            new, old = self._sides(pods)
            if new:
                serves = any(self._available(pod) for pod in new)
                doubled += not serves
                self.going += [pod for pod in old if (serves or not self._available(pod)) and not is_deleting(pod)]
            elif any(self._available(pod) for pod in old):
                candidates.append(node)
            elif old:
                self.coming.append(node)
        self.coming += candidates[: max(0, most - doubled)]

    def _sides(self, pods: list[Object]) -> tuple[list[Object], list[Object]]:
        new = [pod for pod in pods if is_new(pod, self.revision)]
        return new, [pod for pod in pods if not is_new(pod, self.revision)]
