"""What a CronJob decides: times, concurrency, history; and a day of it in simulated time."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from podling.api.objects import Object, annotations_of, get, name_of, owner_reference
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import CRON_JOBS, JOBS, PODS
from podling.controllers.cron_job import controller
from podling.controllers.cron_job.controller import SCHEDULED
from podling.controllers.cron_job.schedule import schedule
from podling.controllers.plan import Create, Delete, Event, Plan
from podling.controllers.view import View
from podling.testing.applications import cron_job
from podling.testing.simulation import Simulation

NOW = parse("2024-03-10T12:00:30Z")


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("text", "zone", "start", "following"),
    [
        ("* * * * *", None, "2024-03-10T12:00:00", "2024-03-10T12:01:00"),
        ("*/15 * * * *", None, "2024-03-10T12:01:00", "2024-03-10T12:15:00"),
        ("5/20 * * * *", None, "2024-03-10T12:06:00", "2024-03-10T12:25:00"),
        ("0 0 * * MON", None, "2024-03-10T12:00:00", "2024-03-11T00:00:00"),
        ("0 0 13 * FRI", None, "2024-03-10T12:00:00", "2024-03-13T00:00:00"),  # either of them
        ("0 0 */20 * 5", None, "2024-03-10T12:00:00", "2024-03-15T00:00:00"),  # also with steps
        ("0 0 ? * 5", None, "2024-03-10T12:00:00", "2024-03-15T00:00:00"),
        ("@hourly", None, "2024-03-10T12:00:00", "2024-03-10T13:00:00"),
        ("@weekly", None, "2024-03-10T12:00:00", "2024-03-17T00:00:00"),
        ("@every 1h30m", None, "2024-03-10T12:00:07", "2024-03-10T13:30:07"),
        ("0 9 * * *", "Asia/Tokyo", "2024-03-10T12:00:00", "2024-03-11T00:00:00"),
        ("TZ=Asia/Tokyo 0 9 * * *", None, "2024-03-10T12:00:00", "2024-03-11T00:00:00"),
        ("30 2 * * *", "America/New_York", "2024-03-10T00:00:00", "2024-03-11T06:30:00"),  # there was no 2:30 on the 10th
    ],
)
def test_the_next_time(text: str, zone: str | None, start: str, following: str) -> None:
    found = schedule(text, zone).after(at(start))
    assert found is not None
    assert datetime.fromtimestamp(found, UTC).isoformat()[:19] == following


def test_the_last_time_between_two_instants() -> None:
    minutes = schedule("* * * * *", None)
    assert minutes.latest(at("2024-03-10T10:00:00"), at("2024-03-10T12:00:00")) == at("2024-03-10T12:00:00")
    assert minutes.latest(at("2024-03-10T12:00:00"), at("2024-03-10T12:00:59")) is None
    assert schedule("@every 40s", None).latest(at("2024-03-10T12:00:00"), at("2024-03-10T12:01:59")) == at("2024-03-10T12:01:20")
    assert schedule("0 0 30 2 *", None).after(NOW) is None


def cron(status: Object | None = None, **spec: Any) -> Object:
    obj = cron_job("tick", **{"concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1, **spec})
    obj["metadata"] |= {"uid": "cj", "creationTimestamp": "2024-03-10T11:59:50Z"}
    return obj | {"status": status or {}}


def started(owner: Object, minute: int, ended: str = "", *, manual: bool = False) -> Object:
    due = at("2024-03-10T11:00:00") + 60 * minute
    name = f"tick-{int(due) // 60}"
    notes = {} if manual else {SCHEDULED: rfc3339(due)}
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "annotations": notes,
        "ownerReferences": [owner_reference(owner)],
    }
    conditions = [{"type": ended, "status": "True"}] if ended else []
    status = {"startTime": rfc3339(due), "conditions": conditions}
    if ended == "Complete":
        status["completionTime"] = rfc3339(due + 20)
    return {"metadata": metadata, "spec": {}, "status": status}


def plan_for(owner: Object, *jobs: Object) -> Plan:
    return controller.reconcile(owner, View.of({CRON_JOBS: [owner], JOBS: jobs}), NOW)


def does(plan: Plan) -> list[str]:
    signs = {Create: "+", Delete: "-"}
    return [signs[type(one)] + name_of(one.object) for one in plan.actions if not isinstance(one, Event)]


def reasons(plan: Plan) -> list[str]:
    return [one.reason for one in plan.actions if isinstance(one, Event)]


NOON = f"tick-{int(at('2024-03-10T12:00:00')) // 60}"


def test_what_is_due_is_started_and_the_next_time_waited_for() -> None:
    plan = plan_for(cron(jobTemplate={"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}))
    assert (does(plan), plan.requeue_after) == ([f"+{NOON}"], 30)
    made = plan.actions[0].object
    assert made["metadata"]["labels"] == {"a": "b"}
    assert annotations_of(made) == {SCHEDULED: "2024-03-10T12:00:00Z"}
    assert plan.actions[0].done.message == f"Created job {NOON}"


@pytest.mark.parametrize(
    ("spec", "expected", "told"),
    [
        ({"suspend": True}, [], []),
        ({"schedule": "5 * * * *"}, [], []),
        ({"concurrencyPolicy": "Forbid"}, [], ["JobAlreadyActive"]),
        ({"concurrencyPolicy": "Replace"}, ["-tick-28501199", f"+{NOON}"], []),
        ({"concurrencyPolicy": "Allow"}, [f"+{NOON}"], []),
        ({"startingDeadlineSeconds": 60}, [f"+{NOON}"], []),
        ({"startingDeadlineSeconds": 20}, [], []),
        ({"schedule": "x"}, [], ["UnparseableSchedule"]),
        ({"timeZone": "Mars/Phobos"}, [], ["UnknownTimeZone"]),
    ],
)
def test_what_keeps_it_from_starting(spec: Object, expected: list[str], told: list[str]) -> None:
    owner = cron(**spec)
    plan = plan_for(owner, started(owner, 59))
    assert (does(plan), reasons(plan)) == (expected, told)


def test_a_job_that_was_started_is_known_by_its_time_even_when_nobody_wrote_it_down() -> None:
    owner = cron()
    plan = plan_for(owner, started(owner, 60))
    assert does(plan) == []
    assert plan.status["lastScheduleTime"] == "2024-03-10T12:00:00Z"
    assert [one["name"] for one in plan.status["active"]] == [NOON]


def test_missed_times_are_made_up_for_once_and_told_of() -> None:
    owner = cron({"lastScheduleTime": "2024-03-10T09:00:00Z"})
    plan = plan_for(owner)
    assert (does(plan), reasons(plan)) == ([f"+{NOON}"], ["TooManyMissedTimes"])
    assert reasons(plan_for(cron({"lastScheduleTime": "2024-03-10T11:00:00Z"}))) == []


def test_jobs_that_ended_went_missing_or_nobody_expected_are_told_of() -> None:
    owner = cron(suspend=True)
    active = [{"uid": "tick-28501199", "name": "a"}, {"uid": "gone", "name": "gone"}]
    owner["status"] = {"active": active}
    plan = plan_for(owner, started(owner, 59, "Complete"), started(owner, 10, manual=True))
    assert reasons(plan) == ["SawCompletedJob", "UnexpectedJob", "MissingJob"]
    assert plan.status == {"lastScheduleTime": "2024-03-10T11:59:00Z", "lastSuccessfulTime": "2024-03-10T11:59:20Z"}


def test_only_the_last_few_are_kept() -> None:
    owner = cron(suspend=True)
    jobs = [started(owner, minute, "Complete") for minute in (1, 2, 3, 4, 5)]
    jobs += [started(owner, minute, "Failed") for minute in (6, 7)]
    assert does(plan_for(owner, *jobs)) == ["-tick-28501141", "-tick-28501142", "-tick-28501146"]


async def test_an_hour_of_quarters(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (30.0, 0)
    await cluster.client.create(CRON_JOBS, cron_job("tick", "*/15 * * * *", successfulJobsHistoryLimit=2))
    await cluster.advance(3650)
    made = await cluster.client.get(CRON_JOBS, "tick", "default")
    kept = (await cluster.client.list(JOBS, "default")).items
    assert len(kept) == 2
    assert all(get(one, "status.succeeded") == 1 for one in kept)
    assert made["status"]["lastScheduleTime"] == max(annotations_of(one)[SCHEDULED] for one in kept)
    assert "active" not in made["status"]
    assert len((await cluster.client.list(PODS, "default")).items) == 2
