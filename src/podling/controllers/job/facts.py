"""A Job and its pods, read once: what every step of the controller asks for."""

from dataclasses import dataclass
from functools import cached_property

from podling.api.objects import Object, annotations_of, get, is_deleting
from podling.controllers import pods as pod_facts
from podling.controllers.job import indexes

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
MANAGER = "kubernetes.io/job-controller"


def is_tracked(pod: Object) -> bool:
    """Whether the pod waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def index_of(pod: Object) -> int | None:
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def is_ours(job: Object) -> bool:
    """Whether no other controller has been told to manage it."""
    return job["spec"].get("managedBy") in (None, MANAGER)


def verdict_of(job: Object) -> Object | None:
    """The condition that ended the Job."""
    ended = (
        one for one in get(job, "status.conditions", ()) if one["type"] in ("Complete", "Failed") and one["status"] == "True"
    )
    return next(ended, None)


@dataclass(frozen=True)
class Facts:
    job: Object
    pods: list[Object]
    now: float

    @cached_property
    def status(self) -> Object:
        return self.job.get("status") or {}

    @property
    def indexed(self) -> bool:
        return bool(self.job["spec"].get("completionMode") == "Indexed")

    @property
    def completions(self) -> int | None:
        """None: the first success ends the work."""
        value = self.job["spec"].get("completions")
        return None if value is None else int(value)

    @property
    def parallelism(self) -> int:
        return int(get(self.job, "spec.parallelism", 1))

    @property
    def suspended(self) -> bool:
        return bool(self.job["spec"].get("suspend"))

    @property
    def going(self) -> bool:
        return is_deleting(self.job)

    @property
    def limit_per_index(self) -> int | None:
        value = self.job["spec"].get("backoffLimitPerIndex")
        return int(value) if self.indexed and value is not None else None

    @property
    def replaces_only_failed(self) -> bool:
        """Whether a pod that is being deleted still counts as running."""
        return bool(self.job["spec"].get("podReplacementPolicy") == "Failed")

    @cached_property
    def active(self) -> list[Object]:
        return [pod for pod in self.pods if pod_facts.is_active(pod)]

    @cached_property
    def terminating(self) -> list[Object]:
        return [pod for pod in self.pods if is_deleting(pod) and not pod_facts.is_finished(pod)]

    @property
    def ready(self) -> int:
        return sum(pod_facts.is_ready(pod) for pod in self.active)

    def has_failed(self, pod: Object) -> bool:
        """Failed, or deleted before it could finish, where such are replaced at once."""
        if pod_facts.phase(pod) == "Failed":
            return True
        return not self.replaces_only_failed and is_deleting(pod) and pod_facts.phase(pod) != "Succeeded"

    def in_range(self, pod: Object) -> bool:
        """Whether the pod's index is one of the Job's; always so for a Job without indexes."""
        index = index_of(pod)
        return not self.indexed or (index is not None and index < (self.completions or 0))

    @cached_property
    def stored_completed(self) -> set[int]:
        return indexes.parse(self.status.get("completedIndexes"), self.completions or 0)

    @cached_property
    def stored_failed(self) -> set[int]:
        return indexes.parse(self.status.get("failedIndexes"), self.completions or 0)
