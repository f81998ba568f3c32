"""Let go of pods that no Job will count any more: their Job is gone, has ended, or is no longer their owner."""

from podling.api import selectors
from podling.api.objects import Object, controller_of, is_deleting, key_of, namespace_of, uid_of
from podling.client.resource import JOBS, PODS
from podling.controllers.controller import Controller, Watch
from podling.controllers.job.facts import is_ours, is_tracked, verdict_of
from podling.controllers.job.tracking import freed
from podling.controllers.plan import NOTHING, Absent, Guarded, Plan
from podling.controllers.replica_set import selecting
from podling.controllers.view import Key, View


def reconcile(pod: Object, view: View, now: float) -> Plan:
    if not is_tracked(pod):
        return NOTHING
    owner = controller_of(pod)
    if owner is None and _will_be_adopted(pod, view):
        return NOTHING
    if owner is None or owner["kind"] != JOBS.kind:
        return Plan([freed(pod)])
    job = view.get(JOBS, owner["name"], namespace_of(pod))
    if job is None or uid_of(job) != owner["uid"]:
        return Plan([Guarded([Absent(JOBS, namespace_of(pod), owner["name"], owner["uid"])], freed(pod))])
    return Plan([freed(pod)]) if is_ours(job) and verdict_of(job) is not None else NOTHING


def _will_be_adopted(pod: Object, view: View) -> bool:
    candidates = [view.caches[JOBS].get(key) for _, key in selecting(JOBS, pod, view)]
    return any(job is not None and not is_deleting(job) and verdict_of(job) is None for job in candidates)


def pods_of(job: Object, view: View) -> list[Key]:
    """The Job's pods, and those that it might have adopted."""
    matching = view.orphans(PODS, namespace_of(job), selectors.of_object(job["spec"].get("selector")))
    return [(PODS, key_of(pod)) for pod in (*view.dependents(PODS, uid_of(job)), *matching) if is_tracked(pod)]


def has_ended(old: Object | None, new: Object | None) -> bool:
    return new is None or is_deleting(new) or verdict_of(new) is not None


def tracked(old: Object | None, new: Object | None) -> bool:
    return new is not None and is_tracked(new)


JOB_ORPHANS = Controller(
    "job-orphans",
    primary=(Watch(PODS, indexes=("owner", "namespace", "label"), matters=tracked),),
    reconcile=reconcile,
    watches=(Watch(JOBS, pods_of, ("namespace",), matters=has_ended),),
)
