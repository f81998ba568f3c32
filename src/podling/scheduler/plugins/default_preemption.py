"""Make room for a pod by taking away pods of lower priority: as few and as unimportant ones as possible, on one node.

Disruption budgets are kept where that is possible. Source: Kubernetes documentation "Pod Priority and Preemption".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from podling.api import selectors
from podling.api.objects import Object, get, has_condition, is_deleting, namespace_of
from podling.client.resource import BUDGETS
from podling.scheduler.framework import Diagnosis, Handle, PostFilterResult, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.nominations import add_pod, filter_on, remove_pod
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node with the pods that have to go. `violations`: how many of them go against a disruption budget."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(slots=True)
class Budget:
    namespace: str
    selector: selectors.Selector
    allowed: int
    disrupted: frozenset[str]  # pods that count already


class DefaultPreemption:
    name = "DefaultPreemption"

    def __init__(self, args: Object | None = None, handle: Handle | None = None) -> None:
        given = args or {}
        self._percentage = given.get("minCandidateNodesPercentage", 10)
        self._absolute = given.get("minCandidateNodesAbsolute", 100)
        self._budgets = (handle or Handle()).objects(BUDGETS)
        self._tried = Tried()

    def events_to_register(self) -> tuple[()]:
        return ()

    def post_filter(self, state: State, pod: PodInfo, snapshot: Snapshot, diagnosis: Diagnosis) -> PostFilterResult:
        if refusal := self._not_eligible(pod, snapshot, diagnosis):
            return PostFilterResult(refusal)
        found, reasons = self._candidates(state, pod, snapshot, diagnosis.resolvable)
        if not found:
            return PostFilterResult(self._unhelpful(diagnosis, reasons), nominated="")
        chosen = min(found, key=cost)
        return PostFilterResult("", chosen.node, chosen.victims)

    def _not_eligible(self, pod: PodInfo, snapshot: Snapshot, diagnosis: Diagnosis) -> str:
        if pod.pod["spec"].get("preemptionPolicy") == "Never":
            return "not eligible due to preemptionPolicy=Never."
        row = snapshot.rows.get(pod.nominated)
        if row is not None and row in diagnosis.resolvable:
            others = snapshot.nodes[row].pods.values()
            if any(is_deleting(other.pod) and other.priority < pod.priority and _preempted(other.pod) for other in others):
                return "not eligible due to a terminating pod on the nominated node."
        return ""

    def _candidates(
        self, state: State, pod: PodInfo, snapshot: Snapshot, rows: list[int]
    ) -> tuple[list[Candidate], dict[str, int]]:
        """So many as are enough, among them one that violates no budget if there is one; and why the others are none."""
        budgets = [_budget(one) for one in self._budgets]
        enough = max(len(rows) * self._percentage // 100, self._absolute)
        found: list[Candidate] = []
        reasons: dict[str, int] = {}
        harmless = False
        for row in rows:
            node = snapshot.nodes[row]
            verdict = self._tried.of(state, pod, node, snapshot, budgets)
            if isinstance(verdict, Rejection):
                for reason in verdict.reasons:
                    reasons[reason] = reasons.get(reason, 0) + 1
                continue
            found.append(verdict)
            harmless = harmless or not verdict.violations
            if len(found) >= enough and harmless:
                break
        return found, reasons

    def _unhelpful(self, diagnosis: Diagnosis, reasons: dict[str, int]) -> str:
        hopeless = diagnosis.nodes - len(diagnosis.resolvable)
        return Diagnosis(diagnosis.nodes, {**reasons, NOT_HELPFUL: hopeless}).message


class Tried:
    """The verdict on each node, kept while neither the node nor the kind of pod changes and no other node matters."""

    def __init__(self) -> None:
        self._verdicts: dict[str, tuple[Any, NodeInfo, Candidate | Rejection]] = {}

    def of(self, state: State, pod: PodInfo, node: NodeInfo, snapshot: Snapshot, budgets: list[Budget]) -> Candidate | Rejection:
        profile = state.kept["profile"]
        alone = (
            not budgets
            and node.name not in snapshot.nominated
            and not any(one.name not in state.skipped for one in profile.other_filters)
        )
        key = (profile.name, pod.template, pod.priority)
        if alone and (known := self._verdicts.get(node.name)) and known[0] == key and known[1] is node:
            return known[2]
        verdict = try_without(state, pod, node, snapshot, budgets)
        if alone:
            self._verdicts[node.name] = (key, node, verdict)
        return verdict


def try_without(state: State, pod: PodInfo, node: NodeInfo, snapshot: Snapshot, budgets: list[Budget]) -> Candidate | Rejection:
    """The pods to take away from one node, or why it doesn't help."""
    profile = state.kept["profile"]
    lower = sorted((other for other in node.pods.values() if other.priority < pod.priority), key=importance, reverse=True)
    if not lower:
        return Rejection(DefaultPreemption.name, (NO_VICTIMS,), resolvable=False)
    trial, bare = state.clone(), node
    for other in lower:
        bare = bare.without_pod(other.uid)
        remove_pod(trial, pod, other, bare, profile)
    if (rejection := filter_on(trial, pod, bare, snapshot, profile)) is not None:
        return rejection
    victims: list[PodInfo] = []
    violations = 0
    against, within = split(lower, budgets)
    for others, violating in ((against, 1), (within, 0)):
        for other in others:  # the most important ones may stay where there is room for them
            spared = bare.with_pod(other)
            add_pod(trial, pod, other, spared, profile)
            if filter_on(trial, pod, spared, snapshot, profile) is None:
                bare = spared
            else:
                remove_pod(trial, pod, other, bare, profile)
                victims.append(other)
                violations += violating
    return Candidate(node.name, tuple(sorted(victims, key=importance, reverse=True)), violations)


def split(pods: Iterable[PodInfo], budgets: list[Budget]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Those whose going would violate a budget, in turn, and those whose wouldn't."""
    left = [budget.allowed for budget in budgets]
    against: list[PodInfo] = []
    within: list[PodInfo] = []
    for pod in pods:
        violates = False
        for place, budget in enumerate(budgets):
            if pod.labels and _concerns(budget, pod):
                left[place] -= 1
                violates = violates or left[place] < 0
        (against if violates else within).append(pod)
    return against, within


def _concerns(budget: Budget, pod: PodInfo) -> bool:
    name = pod.pod["metadata"]["name"]
    return budget.namespace == pod.namespace and name not in budget.disrupted and budget.selector.matches(pod.labels)


def _budget(budget: Object) -> Budget:
    selector = selectors.of_object(get(budget, "spec.selector"))
    if selector.everything:  # upstream: an empty one concerns nobody here
        selector = selectors.NOTHING
    status = budget.get("status") or {}
    disrupted = frozenset(status.get("disruptedPods") or ())
    return Budget(namespace_of(budget), selector, status.get("disruptionsAllowed") or 0, disrupted)


def _preempted(pod: Object) -> bool:
    """Whether the pod goes because of a preemption."""
    found = get(pod, "status.conditions", ())
    return has_condition(pod, "DisruptionTarget") and any(one.get("reason") == "PreemptionByScheduler" for one in found)


def importance(pod: PodInfo) -> tuple[int, tuple[int, ...]]:
    """Ascending: by priority, then those that have run longer."""
    return pod.priority, _age(pod)


def _age(pod: PodInfo) -> tuple[int, ...]:
    """The longer ago the start, the larger; pods that haven't started are the youngest."""
    started = (pod.pod.get("status") or {}).get("startTime") or "9"
    return tuple(-ord(char) for char in started)


def cost(candidate: Candidate) -> tuple[Any, ...]:
    """Violations, the highest priority lost, the sum of priorities, the number of victims; then the youngest pods go first."""
    victims = candidate.victims
    highest = max((pod.priority for pod in victims), default=0)
    eldest = max((_age(pod) for pod in victims if pod.priority == highest), default=())
    lost = sum(pod.priority + (1 << 31) for pod in victims)
    return candidate.violations, highest, lost, len(victims), eldest
