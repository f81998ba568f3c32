"""Delete Jobs some time after they have ended. Source: Kubernetes documentation "Automatic Cleanup for Finished Jobs"."""

from podling.api.objects import Object, is_deleting
from podling.api.timestamps import parse
from podling.client.resource import JOBS
from podling.controllers.controller import Controller, Watch
from podling.controllers.job.facts import verdict_of
from podling.controllers.plan import NOTHING, Delete, Plan
from podling.controllers.view import View


def reconcile(job: Object, view: View, now: float) -> Plan:
    ended, kept = verdict_of(job), job["spec"].get("ttlSecondsAfterFinished")
    if ended is None or kept is None or is_deleting(job):
        return NOTHING
    left = parse(ended["lastTransitionTime"]) + kept - now
    return Plan(requeue_after=left) if left > 0 else Plan([Delete(JOBS, job, propagation="Foreground", unchanged=True)])


TTL_AFTER_FINISHED = Controller("ttl-after-finished", primary=(Watch(JOBS),), reconcile=reconcile)
