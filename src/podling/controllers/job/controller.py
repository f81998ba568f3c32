"""Run pods until enough of them have succeeded, or too many have failed."""

from collections.abc import Iterable
from dataclasses import replace

from podling.api import selectors
from podling.api.objects import Object, condition, controller_of, has_condition, with_condition
from podling.api.timestamps import rfc3339
from podling.client.resource import JOBS, PODS
from podling.controllers import pods as pod_facts
from podling.controllers.claim import claim
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.job import replicas, tracking, verdict
from podling.controllers.job.facts import FINALIZER, Facts, is_ours, is_tracked, verdict_of
from podling.controllers.plan import NOTHING, Action, Event, Guarded, Patch, Plan, difference, sooner
from podling.controllers.replica_set import selecting
from podling.controllers.view import Key, View


def reconcile(job: Object, view: View, now: float) -> Plan:
    if not is_ours(job) or verdict_of(job) is not None:
        return NOTHING
    pods, claims = claim(job, PODS, selectors.of_object(job["spec"].get("selector")), view)
    facts = Facts(job, pods, now)
    tally = tracking.tally(facts)
    decided = verdict.decide(facts, tally)
    steps, wait = _steps(facts, tally, decided)
    record = tracking.Record.of(facts, tally, decided)
    actions = [*_tracking(claims), *steps, *record.freed, *_written(facts, record, decided)]
    return Plan(actions, requeue_after=sooner(wait, verdict.time_left(facts) if decided is None else None))


def _steps(facts: Facts, tally: tracking.Tally, decided: Object | None) -> tuple[list[Action], float | None]:
    if facts.going:
        return [], None
    if decided is not None:
        return replicas.deleted(facts, facts.active), None
    return replicas.Replicas(facts, tally).steps()


def _tracking(claims: Iterable[Action]) -> list[Action]:
    """Who is adopted is tracked from then on, unless it ended long ago; who is released no longer."""
    return [_tracked(one) if isinstance(one, Patch) else one for one in claims]


def _tracked(change: Patch) -> Patch:
    pod = change.object
    adopted = bool(change.patch["metadata"]["ownerReferences"])
    finalizers = [one for one in pod["metadata"].get("finalizers") or () if one != FINALIZER]
    if adopted and (is_tracked(pod) or not pod_facts.is_finished(pod)):
        finalizers.append(FINALIZER)
    return replace(change, patch={"metadata": {**change.patch["metadata"], "finalizers": finalizers or None}})


# status


def _written(facts: Facts, record: tracking.Record, decided: Object | None) -> list[Action]:
    """The status, in the version that it was decided on: numbers must not be counted twice."""
    new, events = status(facts, record, decided)
    change = difference(facts.status, new)
    if not change:
        return []
    patch = Patch(JOBS, facts.job, {"status": change}, subresource="status", unchanged=True)
    if events:
        patch = replace(patch, done=events[0])
    return [Guarded(record.checks, patch) if record.checks else patch, *events[1:]]


def status(facts: Facts, record: tracking.Record, decided: Object | None) -> tuple[Object, list[Event]]:
    """The next status, and what to tell when it is written."""
    new: Object = {
        **facts.status,
        **record.status(),
        "active": len(facts.active),
        "ready": facts.ready,
        "terminating": len(facts.terminating),
        "conditions": list(facts.status.get("conditions") or ()),
    }
    if not facts.status.get("startTime") and not facts.suspended:
        new["startTime"] = rfc3339(facts.now)
    events: list[Event] = []
    if decided is not None:
        new["conditions"] = with_condition(new["conditions"], decided, rfc3339(facts.now))
        if record.is_settled and not facts.active and not facts.terminating:
            new |= verdict.concluded(facts, new["conditions"], decided)
            events.append(_told(facts.job, decided))
    elif not facts.going:
        events += _suspend(facts, new)
    always = ("ready", "terminating", "uncountedTerminatedPods")
    return {key: value for key, value in new.items() if value or key in always}, events


def _told(job: Object, decided: Object) -> Event:
    if decided["type"] == verdict.SUCCESS:
        return Event(job, "Completed", "Job completed")
    return Event(job, decided["reason"], decided["message"], "Warning")


def _suspend(facts: Facts, new: Object) -> list[Event]:
    """Say when it is suspended and resumed; time runs anew from then."""
    if facts.suspended == has_condition(facts.job, "Suspended"):
        return []
    if not facts.suspended and condition(facts.job, "Suspended") is None:
        return []
    word = "Suspended" if facts.suspended else "Resumed"
    told = {"type": "Suspended", "status": str(facts.suspended), "reason": f"Job{word}", "message": f"Job {word.lower()}"}
    told["lastProbeTime"] = rfc3339(facts.now)
    new["conditions"] = with_condition(new["conditions"], told, rfc3339(facts.now))
    if not facts.suspended:
        new["startTime"] = rfc3339(facts.now)
    return [Event(facts.job, word, told["message"])]


def owners_of_pod(pod: Object, view: View) -> list[Key]:
    if controller_of(pod) is not None:
        return list(controlled_by(JOBS)(pod, view))
    return selecting(JOBS, pod, view)


JOB = Controller(
    "job",
    primary=(Watch(JOBS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(Watch(PODS, owners_of_pod, ("namespace", "owner", "label")),),
)
