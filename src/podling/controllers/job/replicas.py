"""How many pods a Job should run now, which of them go, and what the new ones are like.

Source: Kubernetes documentation "Jobs", "Completion mode"; v1 JobSpec podReplacementPolicy.
"""

from dataclasses import dataclass

from podling.api.objects import Object, name_of, owner_reference
from podling.client.resource import PODS
from podling.controllers import pods as pod_facts
from podling.controllers.job import failures
from podling.controllers.job.facts import FAILURES, FINALIZER, IGNORED, INDEX, Facts, index_of, is_tracked
from podling.controllers.job.tracking import Tally, freed
from podling.controllers.plan import Action, Create, Delete, Event, sooner
from podling.controllers.replica_set import cheapest_first

BURST = 500
ENVIRONMENT = "JOB_COMPLETION_INDEX"


def deleted(facts: Facts, pods: list[Object]) -> list[Action]:
    job = facts.job
    failed = Event(job, "FailedDelete", "Error deleting: {error}", "Warning")
    return [Delete(PODS, pod, done=Event(job, "SuccessfulDelete", "Deleted pod: {name}"), failed=failed) for pod in pods[:BURST]]


def dismissed(facts: Facts, pods: list[Object]) -> list[Action]:
    """Delete pods that aren't needed any more, which is no failure: they are let go of first, so that nobody counts them."""
    return [*(freed(pod) for pod in pods if is_tracked(pod)), *deleted(facts, [pod for pod in pods if not is_tracked(pod)])]


def wanted(facts: Facts, tally: Tally) -> int:
    if facts.completions is None:
        return len(facts.active) if tally.succeeded else facts.parallelism
    return max(0, min(facts.completions - tally.succeeded - len(tally.lost), facts.parallelism))


@dataclass(frozen=True)
class Replicas:
    """Brings the active pods to the number wanted; `steps` also tells when to ask again."""

    facts: Facts
    tally: Tally

    def steps(self) -> tuple[list[Action], float | None]:
        facts = self.facts
        if facts.suspended:
            return dismissed(facts, facts.active), None
        number = wanted(facts, self.tally)
        if surplus := self._surplus(len(facts.active) - number):
            return dismissed(facts, surplus), None
        waiting = len(facts.terminating) if facts.replaces_only_failed else 0
        return self._more(number - len(facts.active) - waiting)

    def _surplus(self, at_least: int) -> list[Object]:
        """First pods of an index that has another, or needs none; then the cheapest."""
        ranked = cheapest_first(self.facts.active, self.facts.active, self.facts.now)
        double = self._doubles(ranked) if self.facts.indexed else []
        rest = [pod for pod in ranked if pod not in double]
        return double + rest[: max(0, at_least - len(double))]

    def _doubles(self, ranked: list[Object]) -> list[Object]:
        kept, double = self.tally.completed | self.tally.lost, []
        for pod in reversed(ranked):  # the dearest of an index stays
            index = index_of(pod)
            if index is None or not self.facts.in_range(pod) or index in kept:
                double.append(pod)
            else:
                kept = kept | {index}
        return double

    def _more(self, number: int) -> tuple[list[Action], float | None]:
        if number <= 0:
            return [], None
        if self.facts.limit_per_index is None and (left := failures.wait(self.facts)) > 0:
            return [], left
        if not self.facts.indexed:
            return [self._create(None, None) for _ in range(min(number, BURST))], None
        return self._more_indexes(min(number, BURST))

    def _more_indexes(self, number: int) -> tuple[list[Action], float | None]:
        last = failures.last_failures(self.facts) if self.facts.limit_per_index is not None else {}
        waits = {index: failures.wait_of_index(self.facts, last.get(index)) for index in self._pending()}
        ready = [index for index, left in waits.items() if left <= 0][:number]
        later = sooner(*(left for left in waits.values() if left > 0)) if len(ready) < number else None
        return [self._create(index, last.get(index)) for index in ready], later

    def _pending(self) -> list[int]:
        """The indexes that nobody works on."""
        busy = [*self.facts.active, *(self.facts.terminating if self.facts.replaces_only_failed else ())]
        taken = {index_of(pod) for pod in busy} | self.tally.completed | self.tally.lost
        return [index for index in range(self.facts.completions or 0) if index not in taken]

    def _create(self, index: int | None, last: Object | None) -> Create:
        job = self.facts.job
        pod = pod_facts.from_template(job["spec"]["template"], job, owner_reference(job))
        pod["metadata"]["finalizers"].append(FINALIZER)
        if index is not None:
            _give_index(pod, job, index)
            if self.facts.limit_per_index is not None:
                counted, ignored = failures.counts_after(self.facts, last) if last else (0, 0)
                notes = {FAILURES: str(counted)} | ({IGNORED: str(ignored)} if ignored else {})
                pod["metadata"]["annotations"] |= notes
        done = Event(job, "SuccessfulCreate", "Created pod: {name}")
        return Create(PODS, pod, done, Event(job, "FailedCreate", "Error creating: {error}", "Warning"))


def _give_index(pod: Object, job: Object, index: int) -> None:
    """As label, annotation, host name and variable."""
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["generateName"] = f"{name_of(job)}-{index}-"
    metadata["labels"][INDEX] = metadata["annotations"][INDEX] = str(index)
    spec["hostname"] = f"{name_of(job)}-{index}"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        variables = container.get("env") or []
        if all(one["name"] != ENVIRONMENT for one in variables):
            container["env"] = [*variables, {"name": ENVIRONMENT, "valueFrom": source}]
