"""What the failure of a pod means: by the Job's failure policy, for its index, and for how long to wait with the next.

Source: Kubernetes documentation "Pod failure policy", "Backoff limit per index".
"""

from dataclasses import dataclass

from podling.api.objects import Object, annotations_of, condition, get, is_deleting, key_of
from podling.api.timestamps import parse
from podling.controllers import pods as pod_facts
from podling.controllers.job.facts import FAILURES, IGNORED, Facts, index_of

FIRST_WAIT, LONGEST_WAIT = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """`action` is that of the matching rule, Count where none matches. `why` tells people."""

    action: str
    why: str = ""

    @property
    def counts(self) -> bool:
        return self.action != "Ignore"


def judge(facts: Facts, pod: Object) -> Judgement:
    """By the first rule that matches; pods that are only being deleted have not failed in the policy's sense."""
    if pod_facts.phase(pod) == "Failed":
        for number, rule in enumerate(get(facts.job, "spec.podFailurePolicy.rules", ())):
            if reason := _matched(rule, pod):
                return Judgement(rule["action"], f"{reason} matching {rule['action']} rule at index {number}")
    return Judgement("Count")


def _matched(rule: Object, pod: Object) -> str:
    if codes := rule.get("onExitCodes"):
        for status in _statuses(pod):
            code = get(status, "state.terminated.exitCode", 0)
            if code and codes.get("containerName") in (None, status["name"]) and _is_meant(codes, code):
                return f"Container {status['name']} for pod {key_of(pod)} failed with exit code {code}"
    for pattern in rule.get("onPodConditions") or ():
        found = condition(pod, pattern["type"])
        if found is not None and found["status"] == pattern.get("status", "True"):
            return f"Pod {key_of(pod)} has condition {pattern['type']}"
    return ""


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]


def _is_meant(codes: Object, code: int) -> bool:
    return bool((code in codes["values"]) == (codes["operator"] == "In"))


# indexes that may fail on their own


def counts_of(pod: Object) -> tuple[int, int]:
    """How often the index failed before this pod: counted, and ignored."""
    notes = annotations_of(pod)
    return tuple(int(notes[name]) if notes.get(name, "").isdecimal() else 0 for name in (FAILURES, IGNORED))  # type: ignore[return-value]


def counts_after(facts: Facts, pod: Object) -> tuple[int, int]:
    """The same, with the failure of this pod."""
    counted, ignored = counts_of(pod)
    return (counted + 1, ignored) if judge(facts, pod).counts else (counted, ignored + 1)


def ends_index(facts: Facts, pod: Object) -> bool:
    """Whether with the failure of `pod` its index has failed for good."""
    limit = facts.limit_per_index
    if limit is None or not facts.has_failed(pod):
        return False
    return judge(facts, pod).action == "FailIndex" or counts_after(facts, pod)[0] > limit


def last_failures(facts: Facts) -> dict[int, Object]:
    """By index the latest failed pod, where no later pod knows of it. It is kept, to tell the next pod how many went before."""
    latest: dict[int, Object] = {}
    for pod in facts.pods:
        index = index_of(pod)
        if index is not None and facts.in_range(pod) and (index not in latest or _rank(pod) > _rank(latest[index])):
            latest[index] = pod
    return {index: pod for index, pod in latest.items() if facts.has_failed(pod)}


def _rank(pod: Object) -> tuple[int, str]:
    return sum(counts_of(pod)), pod["metadata"].get("creationTimestamp") or ""


# waiting


def finished_at(pod: Object) -> float:
    """When the last of its containers ended; else when it was last known to change."""
    ends = [get(status, "state.terminated.finishedAt") for status in _statuses(pod)]
    if any(ends):
        return max(parse(end) for end in ends if end)
    if is_deleting(pod):
        return parse(pod["metadata"]["deletionTimestamp"]) - (pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    ready = condition(pod, "Ready") or {}
    return parse(ready.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])


def wait_after(failures: int, last: float, now: float) -> float:
    """Seconds still to wait after so many failures in a row: 10, 20, 40 ... from the last of them."""
    return max(0.0, last + min(FIRST_WAIT * 2.0 ** min(failures - 1, 10), LONGEST_WAIT) - now) if failures else 0.0


def wait(facts: Facts) -> float:
    """Seconds to wait with any new pod, after the failures since the last success."""
    succeeded = [finished_at(pod) for pod in facts.pods if pod_facts.phase(pod) == "Succeeded"]
    failed = [finished_at(pod) for pod in facts.pods if facts.has_failed(pod)]
    since = [end for end in failed if end > max(succeeded, default=0.0)]
    return wait_after(len(since), max(since, default=0.0), facts.now)


def wait_of_index(facts: Facts, last: Object | None) -> float:
    """Seconds to wait with the next pod of an index whose latest failure is `last`."""
    if last is None:
        return 0.0
    return wait_after(sum(counts_after(facts, last)), finished_at(last), facts.now)
