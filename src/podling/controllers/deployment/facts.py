"""A Deployment and its ReplicaSets, read once: what every step of the controller asks for."""

from collections.abc import Iterable
from dataclasses import dataclass

from podling.api.intstr import scaled
from podling.api.objects import Object, annotations_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def replicas(obj: Object) -> int:
    """`spec.replicas`, 1 where it isn't said."""
    value = obj["spec"].get("replicas")
    return 1 if value is None else int(value)


def available(rs: Object) -> int:
    return int((rs.get("status") or {}).get("availableReplicas") or 0)


def counted(sets: Iterable[Object], field: str) -> int:
    """The sum of a status field over several ReplicaSets."""
    return sum((rs.get("status") or {}).get(field) or 0 for rs in sets)


def asked(sets: Iterable[Object]) -> int:
    return sum(replicas(rs) for rs in sets)


def by_age(sets: Iterable[Object]) -> list[Object]:
    """Oldest first, then by name."""
    return sorted(sets, key=lambda rs: (rs["metadata"].get("creationTimestamp") or "", rs["metadata"]["name"]))


@dataclass(frozen=True, slots=True)
class Facts:
    """`new` is the ReplicaSet with the Deployment's present template, None before it is made; `old` are all the others."""

    deployment: Object
    new: Object | None
    old: list[Object]

    @property
    def all(self) -> list[Object]:
        return self.old if self.new is None else [*self.old, self.new]

    @property
    def active(self) -> list[Object]:
        return [rs for rs in self.all if replicas(rs) > 0]

    @property
    def old_active(self) -> list[Object]:
        return [rs for rs in self.old if replicas(rs) > 0]

    @property
    def replicas(self) -> int:
        return replicas(self.deployment)

    @property
    def paused(self) -> bool:
        return bool(self.deployment["spec"].get("paused"))

    @property
    def rolling(self) -> bool:
        return bool((self.deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")

    @property
    def fence(self) -> tuple[int, int]:
        """(surge, unavailable) in pods; never both 0, or nothing could move."""
        given = (self.deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
        surge = scaled(given.get("maxSurge", "25%"), self.replicas, round_up=True)
        unavailable = scaled(given.get("maxUnavailable", "25%"), self.replicas, round_up=False)
        return (surge, unavailable) if surge or unavailable else (0, 1)

    @property
    def max_surge(self) -> int:
        return self.fence[0] if self.rolling else 0

    @property
    def max_unavailable(self) -> int:
        if not self.rolling or not self.replicas:
            return 0
        return min(self.fence[1], self.replicas)

    @property
    def ceiling(self) -> int:
        """The most pods there may be at once."""
        return self.replicas + self.max_surge

    @property
    def saturated(self) -> bool:
        """The new ReplicaSet has all pods, and all are available."""
        new = self.new
        if new is None or annotations_of(new).get(DESIRED) != str(self.replicas):
            return False
        return replicas(new) == self.replicas == available(new)

    @property
    def deadline(self) -> float | None:
        """Seconds of `progressDeadlineSeconds`; None for none (also its largest value, by convention)."""
        value = self.deployment["spec"].get("progressDeadlineSeconds")
        return None if value is None or value == 2**31 - 1 else float(value)
