"""Counting finished pods exactly once, whatever dies meanwhile.

A pod carries a finalizer until it is counted. First the status lists its uid as uncounted, then the finalizer goes, then the
status counts it and drops the uid; each step is decided on what the step before has left in the store. A completion index needs
no uid: it is done or not. The pods' cache may be behind the Job, so a uid is only listed while the server itself has the pod with
its finalizer, and in the version of the Job that was looked at.

Source: Kubernetes documentation "Job tracking with finalizers".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podling.api.objects import Object, get, name_of, namespace_of, uid_of
from podling.client.resource import PODS
from podling.controllers import pods as pod_facts
from podling.controllers.job import failures, indexes
from podling.controllers.job.facts import FINALIZER, Facts, index_of, is_tracked
from podling.controllers.plan import Carries, Patch

MOST_UNCOUNTED = 500  # uids in a status


@dataclass(slots=True)
class Tally:
    """How many pods have ended how: `succeeded` and `failed` are all that are known, `completed` and `lost` are indexes."""

    succeeded: int
    failed: int
    completed: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)


def _uncounted(facts: Facts, side: str) -> list[str]:
    return list(get(facts.status, f"uncountedTerminatedPods.{side}", ()))


def tally(facts: Facts) -> Tally:
    """What the status says, and what the pods say beyond."""
    known = {*_uncounted(facts, "succeeded"), *_uncounted(facts, "failed")}
    new = [pod for pod in facts.pods if is_tracked(pod) and uid_of(pod) not in known and facts.in_range(pod)]
    succeeded = [pod for pod in new if pod_facts.phase(pod) == "Succeeded"]
    failed = [pod for pod in new if facts.has_failed(pod) and failures.judge(facts, pod).counts]
    result = Tally(
        succeeded=facts.status.get("succeeded", 0) + len(_uncounted(facts, "succeeded")) + len(succeeded),
        failed=facts.status.get("failed", 0) + len(_uncounted(facts, "failed")) + len(failed),
    )
    if facts.indexed:
        result.completed = facts.stored_completed | _indexes(succeeded)
        result.lost = (facts.stored_failed | _indexes(pod for pod in new if failures.ends_index(facts, pod))) - result.completed
        result.succeeded = len(result.completed)
    return result


def _indexes(pods: Iterable[Object]) -> set[int]:
    return {index for pod in pods if (index := index_of(pod)) is not None}


@dataclass(slots=True)
class Record:
    """The next step of the counting: the lists and numbers of the next status, what to check before, finalizers to take off."""

    facts: Facts
    tally: Tally
    lists: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    checks: list[Carries] = field(default_factory=list)
    freed: list[Patch] = field(default_factory=list)

    @classmethod
    def of(cls, facts: Facts, tally: Tally, verdict: Object | None) -> "Record":
        record = cls(facts, tally)
        tracked = {uid_of(pod): pod for pod in facts.pods if is_tracked(pod)}
        for side in ("succeeded", "failed"):
            record._carry(side, tracked)
        for uid, pod in tracked.items():
            if uid not in record.lists["succeeded"] and uid not in record.lists["failed"]:
                record._look_at(pod, verdict)
        return record

    @property
    def is_settled(self) -> bool:
        """Nothing is left to be counted."""
        return not self.lists["succeeded"] and not self.lists["failed"] and not self.freed

    def _carry(self, side: str, tracked: dict[str, Object]) -> None:
        """What is listed goes on: with a finalizer, that goes; without, it is counted."""
        listed = _uncounted(self.facts, side)
        self.lists[side] = [uid for uid in listed if uid in tracked]
        self.freed += [freed(tracked[uid]) for uid in self.lists[side]]
        self.counts[side] = self.facts.status.get(side, 0) + len(listed) - len(self.lists[side])

    def _look_at(self, pod: Object, verdict: Object | None) -> None:
        facts = self.facts
        if not self._may_go(pod, verdict):
            return
        if pod_facts.phase(pod) == "Succeeded":
            self._succeeded(pod)
        elif self._is_lost(pod, verdict) and failures.judge(facts, pod).counts and facts.in_range(pod):
            self._list("failed", pod)
        else:
            self.freed.append(freed(pod))

    def _may_go(self, pod: Object, verdict: Object | None) -> bool:
        facts = self.facts
        if pod_facts.phase(pod) == "Succeeded" or facts.going:
            return True
        if verdict is not None:
            return not pod_facts.is_active(pod)  # first it is deleted
        if not facts.has_failed(pod):
            return False
        return facts.limit_per_index is None or not self._is_remembered(pod)

    def _is_remembered(self, pod: Object) -> bool:
        """It has to tell the next pod of its index how many have failed."""
        index = index_of(pod)
        if index is None or index in self.tally.completed or index in self.facts.stored_failed:
            return False
        last = failures.last_failures(self.facts).get(index)
        return last is not None and uid_of(last) == uid_of(pod)

    def _is_lost(self, pod: Object, verdict: Object | None) -> bool:
        if verdict is None or pod_facts.phase(pod) == "Failed":
            return self.facts.has_failed(pod)
        return bool(verdict["type"] == "FailureTarget")  # a success stops the others, which is no failure of theirs

    def _succeeded(self, pod: Object) -> None:
        if not self.facts.indexed:
            self._list("succeeded", pod)
        elif not self.facts.in_range(pod) or index_of(pod) in self.facts.stored_completed:
            self.freed.append(freed(pod))

    def _list(self, side: str, pod: Object) -> None:
        if len(self.lists["succeeded"]) + len(self.lists["failed"]) < MOST_UNCOUNTED:
            self.lists[side].append(uid_of(pod))
            self.checks.append(Carries(PODS, namespace_of(pod), name_of(pod), uid_of(pod), FINALIZER))

    def status(self) -> Object:
        """The fields of the status that count."""
        succeeded = len(self.tally.completed) if self.facts.indexed else self.counts["succeeded"]
        lists = {side: uids for side, uids in self.lists.items() if uids}
        new: Object = {"succeeded": succeeded, "failed": self.counts["failed"], "uncountedTerminatedPods": lists}
        if self.facts.indexed:
            new["completedIndexes"] = indexes.write(self.tally.completed)
        if self.facts.limit_per_index is not None:
            new["failedIndexes"] = indexes.write(self.tally.lost)
        return new


def freed(pod: Object) -> Patch:
    """Take the finalizer off."""
    left = [one for one in pod["metadata"].get("finalizers") or () if one != FINALIZER]
    return Patch(PODS, pod, {"metadata": {"finalizers": left or None}}, unchanged=True)
