"""Start a Job at each time of a schedule, and keep the last few that have ended."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from podling.api.objects import (
    Object,
    annotations_of,
    get,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    thaw,
    uid_of,
)
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import CRON_JOBS, JOBS
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.cron_job.schedule import Schedule, schedule
from podling.controllers.job.facts import verdict_of
from podling.controllers.plan import Action, Create, Delete, Event, Plan
from podling.controllers.view import View

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY_MISSED = 100


def reconcile(cron: Object, view: View, now: float) -> Plan:
    jobs = view.owned(JOBS, cron)
    status, actions = _status(cron, jobs)
    actions += _beyond_history(cron, jobs)
    if is_deleting(cron) or cron["spec"].get("suspend"):
        return Plan(actions, status)
    try:
        times = schedule(cron["spec"]["schedule"], cron["spec"].get("timeZone"))
        plan = _start({**cron, "status": status}, jobs, times, now)
    except (ValueError, LookupError) as error:
        return Plan([*actions, _unreadable(cron, error)], status)
    return Plan([*actions, *plan.actions], status, plan.requeue_after)


def _unreadable(cron: Object, error: Exception) -> Event:
    zone = cron["spec"].get("timeZone")
    if isinstance(error, LookupError):
        return Event(cron, "UnknownTimeZone", f'invalid timeZone: "{zone}": unknown time zone {zone}', "Warning")
    return Event(cron, "UnparseableSchedule", f'unparseable schedule: "{cron["spec"]["schedule"]}" : {error}', "Warning")


# what there is


def _status(cron: Object, jobs: list[Object]) -> tuple[Object, list[Action]]:
    """The status by the Jobs there are, and the news of them. What was started knows itself when it was due."""
    known = {one["uid"]: one for one in get(cron, "status.active", ())}
    running = [job for job in jobs if verdict_of(job) is None]
    ours = [job for job in running if SCHEDULED in annotations_of(job)]
    due = [parse(annotations_of(job)[SCHEDULED]) for job in jobs if SCHEDULED in annotations_of(job)]
    done = [job["status"]["completionTime"] for job in jobs if get(job, "status.completionTime")]
    old = cron.get("status") or {}
    new: Object = {
        "active": [_reference(job) for job in sorted(ours, key=name_of)],
        "lastScheduleTime": _latest(old.get("lastScheduleTime"), *map(rfc3339, due)),
        "lastSuccessfulTime": _latest(old.get("lastSuccessfulTime"), *done),
    }
    return {key: value for key, value in new.items() if value}, _news(cron, jobs, known)


def _latest(*times: str | None) -> str | None:
    return max((time for time in times if time), default=None)


def _reference(job: Object) -> Object:
    named = {"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace_of(job), "name": name_of(job), "uid": uid_of(job)}
    return {**named, "resourceVersion": job["metadata"].get("resourceVersion", "")}


def _news(cron: Object, jobs: list[Object], known: dict[str, Object]) -> list[Action]:
    news: list[Action] = []
    for job in jobs:
        ended = verdict_of(job)
        if ended is not None and uid_of(job) in known:
            text = f"Saw completed job: {name_of(job)}, condition: {ended['type']}"
            news.append(Event(cron, "SawCompletedJob", text))
        elif ended is None and uid_of(job) not in known and SCHEDULED not in annotations_of(job):
            text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
            news.append(Event(cron, "UnexpectedJob", text, "Warning"))
    present = {uid_of(job) for job in jobs}
    for uid, one in known.items():
        if uid not in present:
            news.append(Event(cron, "MissingJob", f"Active job went missing: {one['name']}"))
    return news


def _beyond_history(cron: Object, jobs: list[Object]) -> list[Action]:
    actions: list[Action] = []
    for kind, member in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = cron["spec"].get(member)
        ended = [job for job in jobs if (verdict_of(job) or {}).get("type") == kind and not is_deleting(job)]
        oldest = sorted(ended, key=lambda job: (get(job, "status.startTime", ""), name_of(job)))
        if limit is not None:
            actions += [_delete(cron, job) for job in oldest[: max(0, len(oldest) - limit)]]
    return actions


def _delete(cron: Object, job: Object) -> Delete:
    done = Event(cron, "SuccessfulDelete", f"Deleted job {name_of(job)}")
    failed = Event(cron, "FailedDelete", "Deleted job: {error}", "Warning")
    return Delete(JOBS, job, propagation="Background", done=done, failed=failed)


# what is due


def _start(cron: Object, jobs: list[Object], times: Schedule, now: float) -> Plan:
    since = _since(cron, now)
    due = times.latest(since, now)
    following = times.after(now)
    wait = following - now if following is not None else None
    if due is None:
        return Plan(requeue_after=wait)
    actions: list[Action] = _missed(cron, times, since, now)
    deadline = cron["spec"].get("startingDeadlineSeconds")
    if deadline is not None and due + deadline < now:
        when = datetime.fromtimestamp(due, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        return Plan(
            [*actions, Event(cron, "MissSchedule", f"Missed scheduled time to start a job: {when}", "Warning")], None, wait
        )
    running = {one["uid"] for one in get(cron, "status.active", ())}
    policy = cron["spec"].get("concurrencyPolicy", "Allow")
    if running and policy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return Plan([*actions, Event(cron, "JobAlreadyActive", text)], None, wait)
    if policy == "Replace":
        actions += [_delete(cron, job) for job in jobs if uid_of(job) in running and not is_deleting(job)]
    return Plan([*actions, _create(cron, due)], None, wait)


def _since(cron: Object, now: float) -> float:
    """From when on times count: after the last start, and not too long ago."""
    last = get(cron, "status.lastScheduleTime") or cron["metadata"]["creationTimestamp"]
    deadline = cron["spec"].get("startingDeadlineSeconds")
    return max(parse(last), now - deadline) if deadline is not None else parse(last)


def _missed(cron: Object, times: Schedule, since: float, now: float) -> list[Action]:
    at: float | None = since
    for _ in range(MANY_MISSED + 1):
        at = times.after(at) if at is not None else None
        if at is None or at > now:
            return []
    text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    return [Event(cron, "TooManyMissedTimes", text, "Warning")]


def _create(cron: Object, due: float) -> Create:
    """The Job of one time has one name: it can't be started twice."""
    template = cron["spec"]["jobTemplate"]
    zone = cron["spec"].get("timeZone")
    when = datetime.fromtimestamp(due, ZoneInfo(zone)).isoformat() if zone else rfc3339(due)
    name = f"{name_of(cron)}-{int(due) // 60}"
    metadata = {
        "name": name,
        "namespace": namespace_of(cron),
        "labels": labels_of(template),
        "annotations": annotations_of(template) | {SCHEDULED: when},
        "ownerReferences": [owner_reference(cron)],
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": thaw(template["spec"])}
    failed = Event(cron, "FailedCreate", "Error creating job: {error}", "Warning")
    return Create(JOBS, job, Event(cron, "SuccessfulCreate", f"Created job {name}"), failed)


CRON_JOB = Controller(
    "cronjob",
    primary=(Watch(CRON_JOBS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(Watch(JOBS, controlled_by(CRON_JOBS), ("owner",)),),
)
