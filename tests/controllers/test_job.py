"""What a Job decides: pods, counting, verdicts."""

from typing import Any

import pytest

from podling.api.objects import Object, annotations_of, labels_of, name_of, owner_reference
from podling.api.timestamps import rfc3339
from podling.client.resource import JOBS, PODS
from podling.controllers.job import controller, indexes
from podling.controllers.job.facts import FAILURES, FINALIZER, INDEX
from podling.controllers.plan import Carries, Create, Delete, Event, Guarded, Patch, Plan
from podling.controllers.view import View
from podling.testing.applications import job

NOW = 1_700_000_000.0


def the_job(status: Object | None = None, **spec: Any) -> Object:
    obj = job("sum", **{"completions": 3, "parallelism": 2, "backoffLimit": 6, **spec})
    labels = {"batch.kubernetes.io/controller-uid": "j"}
    obj["metadata"] |= {"uid": "j", "resourceVersion": "9"}
    obj["spec"]["selector"] = {"matchLabels": labels}
    obj["spec"]["template"]["metadata"]["labels"] = labels
    obj["status"] = {"startTime": rfc3339(NOW - 100), **(status or {})}
    return obj


def pod(
    owner: Object,
    name: str,
    phase: str = "Running",
    *,
    index: int | None = None,
    tracked: bool = True,
    code: int = 1,
    ago: float = 1000.0,
    failures: int = 0,
    **meta: Any,
) -> Object:
    notes = {} if index is None else {INDEX: str(index), FAILURES: str(failures)}
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "labels": owner["spec"]["selector"]["matchLabels"],
        "annotations": notes,
        "finalizers": [FINALIZER] if tracked else [],
        "ownerReferences": [owner_reference(owner)],
        "creationTimestamp": rfc3339(NOW - ago),
    }
    ended = {"exitCode": code if phase == "Failed" else 0, "finishedAt": rfc3339(NOW - ago)}
    state = {"terminated": ended} if phase in ("Succeeded", "Failed") else {"running": {}}
    return {
        "metadata": metadata | meta,
        "spec": {"nodeName": "n"},
        "status": {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]},
    }


def plan_for(owner: Object, *pods: Object) -> Plan:
    return controller.reconcile(owner, View.of({JOBS: [owner], PODS: pods}), NOW)


def does(plan: Plan) -> list[str]:
    """`+` a pod (of an index), `-` one deleted, `~` one let go of."""
    short = []
    for one in plan.actions:
        if isinstance(one, Create):
            short.append("+" + annotations_of(one.object).get(INDEX, ""))
        elif isinstance(one, Delete):
            short.append(f"-{name_of(one.object)}")
        elif isinstance(one, Patch) and one.resource == PODS:
            short.append(f"~{name_of(one.object)}")
    return short


def written(plan: Plan) -> Object:
    """What is patched into the status."""
    for one in plan.actions:
        patch = one.action if isinstance(one, Guarded) else one
        if isinstance(patch, Patch) and patch.subresource:
            assert patch.unchanged
            return patch.patch["status"]
    return {}


def told(plan: Plan) -> list[tuple[str, str]]:
    done = [one.action.done if isinstance(one, Guarded) else getattr(one, "done", one) for one in plan.actions]
    return [(one.reason, one.message) for one in done if isinstance(one, Event) and one.reason != "SuccessfulCreate"]


def ends(plan: Plan) -> list[tuple[str, str]]:
    return [(one["type"], one["reason"]) for one in written(plan).get("conditions") or ()]


# numbers


@pytest.mark.parametrize(
    ("spec", "status", "pods", "expected"),
    [
        ({}, {}, [], ["+", "+"]),
        ({}, {"succeeded": 2}, [], ["+"]),
        ({"parallelism": 1}, {}, ["Running"], []),
        ({"parallelism": 1}, {}, ["Running", "Pending"], ["~p1"]),
        ({"completions": None}, {}, [], ["+", "+"]),
        ({"completions": None}, {"succeeded": 1}, ["Running"], []),
        ({"suspend": True}, {}, ["Running"], ["~p0"]),
        ({"managedBy": "example.com/other"}, {}, [], []),
        ({"managedBy": "kubernetes.io/job-controller"}, {}, [], ["+", "+"]),
    ],
)
def test_as_many_pods_run_as_are_needed(spec: Object, status: Object, pods: list[str], expected: list[str]) -> None:
    owner = the_job(status, **spec)
    assert does(plan_for(owner, *(pod(owner, f"p{number}", phase) for number, phase in enumerate(pods)))) == expected


def test_pods_of_a_suspended_job_go_after_they_were_let_go_of() -> None:
    owner = the_job(suspend=True)
    plan = plan_for(owner, pod(owner, "a", tracked=False))
    assert does(plan) == ["-a"]
    assert ends(plan) == [("Suspended", "JobSuspended")]
    assert ("Suspended", "Job suspended") in told(plan)
    resumed = the_job({"conditions": written(plan)["conditions"]})
    assert written(plan_for(resumed))["startTime"] == rfc3339(NOW)
    assert told(plan_for(resumed)) == [("Resumed", "Job resumed")]


def test_after_failures_the_next_pod_waits_longer_and_longer() -> None:
    owner = the_job(parallelism=1)
    for count, wait in ((1, 10), (2, 20), (3, 40)):
        plan = plan_for(owner, *(pod(owner, f"p{number}", "Failed", ago=4) for number in range(count)))
        assert ([one for one in does(plan) if one == "+"], plan.requeue_after) == ([], wait - 4)
    assert "+" in does(plan_for(owner, pod(owner, "a", "Failed", ago=30)))
    assert "+" in does(plan_for(owner, pod(owner, "a", "Failed", ago=5), pod(owner, "b", "Succeeded", ago=4)))


@pytest.mark.parametrize(
    ("policy", "phase", "expected"),
    [("TerminatingOrFailed", "Running", ["+"]), ("Failed", "Running", []), ("Failed", "Failed", ["+"])],
)
def test_when_a_pod_that_is_being_deleted_is_replaced(policy: str, phase: str, expected: list[str]) -> None:
    owner = the_job(completions=1, parallelism=1, podReplacementPolicy=policy)
    leaving = pod(owner, "a", phase, deletionTimestamp=rfc3339(NOW - 500), ago=500)
    plan = plan_for(owner, leaving)
    assert [one for one in does(plan) if one == "+"] == expected
    assert bool(written(plan).get("uncountedTerminatedPods")) == bool(expected)


# counting


def test_a_finished_pod_is_listed_then_let_go_of_then_counted() -> None:
    owner = the_job({"ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}, parallelism=0)
    done, lost = pod(owner, "a", "Succeeded"), pod(owner, "b", "Failed")
    plan = plan_for(owner, done, lost)
    assert written(plan) == {"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]}}
    (guarded,) = [one for one in plan.actions if isinstance(one, Guarded)]
    assert guarded.checks == [Carries(PODS, "default", name, name, FINALIZER) for name in ("a", "b")]
    assert does(plan) == []

    owner["status"] |= written(plan)
    plan = plan_for(owner, done, lost)
    assert (written(plan), does(plan)) == ({}, ["~a", "~b"])

    plan = plan_for(owner, pod(owner, "a", "Succeeded", tracked=False))  # the other has gone altogether
    assert written(plan) == {"succeeded": 1, "failed": 1, "uncountedTerminatedPods": {"succeeded": None, "failed": None}}

    owner["status"] |= {"succeeded": 1, "failed": 1, "uncountedTerminatedPods": {}}
    assert written(plan_for(owner, pod(owner, "a", "Succeeded", tracked=False))) == {}


def test_an_index_is_done_once_whatever_pods_did_it() -> None:
    owner = the_job({"completedIndexes": "0"}, completionMode="Indexed", parallelism=0)
    pods = [pod(owner, "a", "Succeeded", index=0), pod(owner, "b", "Succeeded", index=2), pod(owner, "c", "Succeeded", index=7)]
    plan = plan_for(owner, *pods)
    assert (written(plan)["completedIndexes"], written(plan)["succeeded"]) == ("0,2", 2)
    assert does(plan) == ["~a", "~c"]


def test_no_more_pods_are_listed_than_fit() -> None:
    owner = the_job(completions=2000, parallelism=0)
    lists = written(plan_for(owner, *(pod(owner, f"p{number}", "Succeeded") for number in range(600))))
    assert len(lists["uncountedTerminatedPods"]["succeeded"]) == 500


# the end


def test_it_is_complete_when_all_is_counted() -> None:
    owner = the_job({"succeeded": 2, "active": 1})
    last = pod(owner, "c", "Succeeded")
    plan = plan_for(owner, last)
    assert ends(plan) == [("SuccessCriteriaMet", "CompletionsReached")]
    owner["status"] |= written(plan) | {"uncountedTerminatedPods": {"succeeded": ["c"]}}
    plan = plan_for(owner, pod(owner, "c", "Succeeded", tracked=False))
    assert written(plan)["succeeded"] == 3
    assert ends(plan) == [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]
    assert written(plan)["completionTime"] == rfc3339(NOW)
    assert told(plan) == [("Completed", "Job completed")]


@pytest.mark.parametrize(
    ("spec", "status", "pods", "reason"),
    [
        ({"backoffLimit": 1}, {"failed": 1}, [{"phase": "Failed"}], "BackoffLimitExceeded"),
        ({"backoffLimit": 2}, {"failed": 1}, [{"phase": "Failed"}], None),
        ({"activeDeadlineSeconds": 100}, {}, [{}], "DeadlineExceeded"),
        ({"activeDeadlineSeconds": 101}, {}, [{}], None),
        ({"activeDeadlineSeconds": 100, "suspend": True}, {}, [{}], None),
    ],
)
def test_it_fails_for_good(spec: Object, status: Object, pods: list[Object], reason: str | None) -> None:
    owner = the_job(status, **spec)
    plan = plan_for(owner, *(pod(owner, f"p{number}", **one) for number, one in enumerate(pods)))
    assert ends(plan)[:1] == ([("FailureTarget", reason)] if reason else ends(plan)[:1] if "suspend" in spec else [])


def test_what_still_runs_is_deleted_and_counted_as_failed_before_it_has_failed() -> None:
    owner = the_job({"startTime": rfc3339(NOW - 100)}, activeDeadlineSeconds=100)
    plan = plan_for(owner, pod(owner, "a"))
    assert does(plan) == ["-a"]
    owner["status"] |= written(plan)
    leaving = pod(owner, "a", deletionTimestamp=rfc3339(NOW))
    plan = plan_for(owner, leaving)
    assert written(plan)["uncountedTerminatedPods"] == {"failed": ["a"]}
    owner["status"] |= written(plan)
    leaving["metadata"]["finalizers"] = []
    assert [kind for kind, _ in ends(plan_for(owner, leaving))] == []  # it still terminates
    owner["status"] |= {"failed": 1, "uncountedTerminatedPods": {}}
    plan = plan_for(owner)
    assert ends(plan) == [("FailureTarget", "DeadlineExceeded"), ("Failed", "DeadlineExceeded")]
    assert told(plan) == [("DeadlineExceeded", "Job was active longer than specified deadline")]


@pytest.mark.parametrize(
    ("rule", "code", "failed", "verdict"),
    [
        ({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}, 42, True, "PodFailurePolicy"),
        ({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}, 1, True, None),
        ({"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [42]}}, 1, True, "PodFailurePolicy"),
        ({"action": "FailJob", "onExitCodes": {"containerName": "x", "operator": "In", "values": [1]}}, 1, True, None),
        ({"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}, 42, False, None),
        ({"action": "Count", "onExitCodes": {"operator": "In", "values": [42]}}, 42, True, None),
        ({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}, 1, False, None),
    ],
)
def test_the_failure_policy_judges(rule: Object, code: int, failed: bool, verdict: str | None) -> None:
    owner = the_job(podFailurePolicy={"rules": [rule]}, podReplacementPolicy="Failed")
    bad = pod(owner, "a", "Failed", code=code)
    bad["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    plan = plan_for(owner, bad)
    assert ("uncountedTerminatedPods" in written(plan) and "failed" in written(plan)["uncountedTerminatedPods"]) == failed
    assert [reason for _, reason in ends(plan)] == ([verdict] if verdict else [])
    if verdict and code == 42:
        message = "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 0"
        assert written(plan)["conditions"][0]["message"] == message


# indexes


@pytest.mark.parametrize(("text", "found"), [("", set()), ("0", {0}), ("1,3-5,7", {1, 3, 4, 5, 7}), ("0,1", {0, 1})])
def test_indexes_are_written_by_their_runs(text: str, found: set[int]) -> None:
    assert indexes.parse(text, 10) == found
    assert indexes.write(found) == text
    assert indexes.parse("2-9,11", 4) == {2, 3}


def test_each_index_has_one_pod_that_knows_it() -> None:
    owner = the_job({"completedIndexes": "1"}, completionMode="Indexed", completions=4, parallelism=3)
    plan = plan_for(owner, pod(owner, "a", index=0))
    assert does(plan) == ["+2", "+3"]
    made = next(one.object for one in plan.actions if isinstance(one, Create))
    assert (made["metadata"]["generateName"], made["spec"]["hostname"]) == ("sum-2-", "sum-2")
    assert labels_of(made)[INDEX] == annotations_of(made)[INDEX] == "2"
    assert made["metadata"]["finalizers"] == [FINALIZER]
    (variable,) = made["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"


def test_doubled_and_needless_indexes_go_first() -> None:
    owner = the_job({"completedIndexes": "1"}, completionMode="Indexed", completions=4, parallelism=4)
    pods = [("a", 0, 900.0), ("b", 0, 1.0), ("c", 1, 900.0), ("d", 9, 900.0), ("e", 2, 900.0)]
    plan = plan_for(owner, *(pod(owner, name, index=index, ago=ago, tracked=False) for name, index, ago in pods))
    assert sorted(does(plan)) == ["-b", "-c", "-d"]


def per_index(status: Object | None = None, **spec: Any) -> Object:
    return the_job(status, completionMode="Indexed", backoffLimit=2**31 - 1, **{"backoffLimitPerIndex": 1, **spec})


def test_the_last_failure_of_an_index_is_kept_until_the_next_pod_knows() -> None:
    owner = per_index(parallelism=3)
    failed = pod(owner, "a", "Failed", index=0)
    plan = plan_for(owner, failed, pod(owner, "b", index=1), pod(owner, "c", index=2))
    assert does(plan) == ["+0"]
    assert annotations_of(plan.actions[0].object)[FAILURES] == "1"
    assert "failed" not in (written(plan).get("uncountedTerminatedPods") or {})
    following = pod(owner, "d", index=0, failures=1, ago=1)
    plan = plan_for(owner, failed, following, pod(owner, "b", index=1), pod(owner, "c", index=2))
    assert written(plan)["uncountedTerminatedPods"] == {"failed": ["a"]}


def test_an_index_fails_alone_and_the_job_at_its_end() -> None:
    owner = per_index()
    spent = pod(owner, "a", "Failed", index=0, failures=1)
    plan = plan_for(owner, spent, pod(owner, "b", "Succeeded", index=1))
    assert (written(plan)["failedIndexes"], written(plan)["completedIndexes"]) == ("0", "1")
    assert does(plan) == ["+2"]
    assert ends(plan) == []
    plan = plan_for(owner, spent, *(pod(owner, name, "Succeeded", index=index) for name, index in (("b", 1), ("c", 2))))
    assert ends(plan) == [("FailureTarget", "FailedIndexes")]
    many = per_index(maxFailedIndexes=0)
    assert ends(plan_for(many, pod(many, "a", "Failed", index=0, failures=1))) == [("FailureTarget", "MaxFailedIndexesExceeded")]


def test_an_index_fails_at_once_where_the_policy_says_so() -> None:
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}}
    owner = per_index(backoffLimitPerIndex=5, podFailurePolicy={"rules": [rule]})
    assert written(plan_for(owner, pod(owner, "a", "Failed", index=0, code=3)))["failedIndexes"] == "0"


@pytest.mark.parametrize(
    ("rule", "done", "met"),
    [
        ({"succeededIndexes": "0,2"}, "0,2", True),
        ({"succeededIndexes": "0,2"}, "0,1", False),
        ({"succeededIndexes": "0-2", "succeededCount": 1}, "1", True),
        ({"succeededCount": 2}, "1,3", True),
        ({"succeededCount": 2}, "1", False),
    ],
)
def test_the_success_policy_ends_it_early(rule: Object, done: str, met: bool) -> None:
    policy = {"rules": [rule]}
    owner = the_job({"completedIndexes": done}, completionMode="Indexed", completions=4, successPolicy=policy)
    plan = plan_for(owner, pod(owner, "x", index=3 if done != "1,3" else 2))
    assert ends(plan) == ([("SuccessCriteriaMet", "SuccessPolicy")] if met else [])
    assert ("-x" in does(plan)) == met
