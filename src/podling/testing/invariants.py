"""What must hold at each step of a cluster, checked at each write of its store and each start of a container.

- A namespace's pods never take more than its quotas allow.
- A claim is never in two running pods at once, and no StatefulSet's identity runs twice.
- A Deployment's replica sets never ask for more pods than its surge allows, and a rollout never takes an available pod that it
  has to keep.
- A Job's count of succeeded pods never falls, and is never larger than the number of pods that did succeed.
- No pod goes that nobody deleted and that hadn't ended, unless it never had a node or its node has gone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from podling.aio.clock import Clock
from podling.api.objects import Object, controller_of, get, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.apiserver.cache import Change
from podling.apiserver.storage import Storage
from podling.base import quantity

PODS, QUOTAS, NODES = ("", "pods"), ("", "resourcequotas"), ("", "nodes")
DEPLOYMENTS, REPLICA_SETS, JOBS = ("apps", "deployments"), ("apps", "replicasets"), ("batch", "jobs")
ENDED = ("Succeeded", "Failed")


class Broken(AssertionError):
    """What didn't hold, and when."""


@dataclass(slots=True)
class _Replicas:
    """A replica set: what it asks for, and the most pods that it had available in this instant."""

    owner: str
    wanted: int
    available: int
    at: float


@dataclass
class Invariants:
    """Follows a simulation's storage; `require` raises for what has been found broken."""

    storage: Storage
    clock: Clock
    broken: list[str] = field(default_factory=list)
    steps: int = 0
    _taken: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _sets: dict[str, _Replicas] = field(default_factory=dict)
    _succeeded: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _running: dict[str, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks: Mapping[tuple[str, str], Callable[[Object | None, Object | None], None]] = {
            PODS: self._pod,
            REPLICA_SETS: self._replica_set,
            JOBS: self._job,
        }
        for resource, check in checks.items():
            self.storage.of(resource).listen(partial(self._step, check))

    def require(self) -> None:
        if self.broken:
            raise Broken("\n".join(self.broken))

    def _step(self, check: Callable[[Object | None, Object | None], None], change: Change) -> None:
        self.steps += 1
        check(change.previous.object if change.previous else None, change.item.object if change.item else None)

    def _break(self, text: str) -> None:
        self.broken.append(f"at {self.clock.monotonic():.3f} s: {text}")

    # --- pods: quota, success, loss

    def _pod(self, old: Object | None, new: Object | None) -> None:
        namespace = namespace_of(new or old or {})
        taken = self._taken[namespace]
        before, after = demand(old), demand(new)
        taken.subtract(before)
        taken.update(after)
        if any(after[name] > before[name] for name in after):
            self._within_quota(namespace, taken)
        if new is not None and get(new, "status.phase") == "Succeeded" and (owner := controller_of(new)) is not None:
            self._succeeded[owner["uid"]].add(uid_of(new))
        if new is None and old is not None and not self._may_go(old):
            self._break(f"pod {key_of(old)} is lost: nobody deleted it")

    def _within_quota(self, namespace: str, taken: Mapping[str, int]) -> None:
        for each in self.storage.objects(QUOTAS, f"{namespace}/"):
            for name, hard in each["spec"]["hard"].items():
                limit = amount(hard) if "cpu" in name else int(hard)
                if taken[_NAMES.get(name, name)] > limit:
                    self._break(f"{namespace} has {taken[_NAMES.get(name, name)]} of {name}, where {limit} are allowed")

    def _may_go(self, pod: Object) -> bool:
        node = pod["spec"].get("nodeName")
        ended = is_deleting(pod) or get(pod, "status.phase") in ENDED
        return ended or not node or self.storage.of(NODES).get(node) is None

    # --- replica sets: surge and availability

    def _replica_set(self, old: Object | None, new: Object | None) -> None:
        uid = uid_of(new or old or {})
        owner = controller_of(new or old or {})
        if new is None or owner is None:
            self._sets.pop(uid, None)
            return
        now, available = self.clock.monotonic(), get(new, "status.availableReplicas") or 0
        known = self._sets.get(uid)
        before = known.wanted if known else 0
        most = max(available, known.available) if known and known.at == now else available
        made = self._sets[uid] = _Replicas(owner["uid"], new["spec"]["replicas"], most, now)
        if made.wanted != before:
            self._scaled(new, owner["name"], made, before)

    def _scaled(self, replica_set: Object, owner: str, made: _Replicas, before: int) -> None:
        item = self.storage.of(DEPLOYMENTS).get(f"{namespace_of(replica_set)}/{owner}")
        if item is None or uid_of(item.object) != made.owner or is_deleting(item.object):
            return
        deployment = item.object
        replicas = deployment["spec"]["replicas"]
        surge, unavailable = fence(deployment)
        siblings = [each for each in self._sets.values() if each.owner == made.owner]
        total = sum(each.wanted for each in siblings)
        if made.wanted > before and total > replicas + surge:
            self._break(f"deployment {key_of(deployment)} asks for {total} pods: more than {replicas} and {surge}")
        lost = made.available - min(made.available, made.wanted)
        left = sum(min(each.available, each.wanted) if each is made else each.available for each in siblings)
        if lost > 0 and left < replicas - unavailable:
            self._break(
                f"deployment {key_of(deployment)} keeps {left} available of {replicas}, where {unavailable} may lack: {siblings}"
            )

    # --- jobs

    def _job(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        counted, before = (get(each or {}, "status.succeeded") or 0 for each in (new, old))
        if counted < before:
            self._break(f"job {key_of(new)} counted {before} succeeded pods, now {counted}")
        if counted > len(self._succeeded[uid_of(new)]):
            self._break(f"job {key_of(new)} counts {counted} succeeded pods of {len(self._succeeded[uid_of(new)])}")

    # --- what runs, whatever the API says of it

    def runs(self, pod: Object, on: bool) -> None:
        """A node runs this pod from now on, or does no longer."""
        self.steps += 1
        if not on:
            self._running.pop(uid_of(pod), None)
            return
        mine = set(claims(pod))
        stateful = (controller_of(pod) or {}).get("kind") == "StatefulSet"
        for other in self._running.values():
            if uid_of(other) == uid_of(pod) or namespace_of(other) != namespace_of(pod):
                continue
            if shared := mine & set(claims(other)):
                self._break(f"claim {min(shared)} is in {key_of(pod)} and in {key_of(other)} at once")
            if stateful and name_of(other) == name_of(pod):
                self._break(f"{key_of(pod)} runs twice, on {pod['spec']['nodeName']} and on {other['spec']['nodeName']}")
        if mine or stateful:
            self._running[uid_of(pod)] = pod


_NAMES = {"count/pods": "pods", "cpu": "requests.cpu"}


def demand(pod: Object | None) -> Counter[str]:
    """What a pod takes of a quota: of processors in thousandths."""
    if pod is None or get(pod, "status.phase") in ENDED:
        return Counter()
    requests = (get(each, "resources.requests") or {} for each in pod["spec"]["containers"])
    return Counter({"pods": 1, "requests.cpu": sum(amount(each.get("cpu", "0")) for each in requests)})


def amount(text: Any) -> int:
    """A quantity of processors in thousandths, rounded up."""
    return quantity.parse(str(text)).milli


def fence(deployment: Object) -> tuple[int, int]:
    """How many pods more than asked for a rollout may have, and how many fewer. Source: apps/v1 RollingUpdateDeployment."""
    replicas, rolling = deployment["spec"]["replicas"], get(deployment, "spec.strategy.rollingUpdate")
    if rolling is None:
        return 0, replicas
    surge, unavailable = (_share(rolling[name], replicas, up) for name, up in (("maxSurge", True), ("maxUnavailable", False)))
    return surge, unavailable or (0 if surge else 1)


def _share(value: int | str, replicas: int, up: bool) -> int:
    if isinstance(value, int):
        return value
    parts = int(value.rstrip("%")) * replicas
    return -(-parts // 100) if up else parts // 100


def claims(pod: Object) -> Iterator[str]:
    """The claims that a pod has for itself."""
    return (
        each["persistentVolumeClaim"]["claimName"] for each in pod["spec"].get("volumes") or () if "persistentVolumeClaim" in each
    )
