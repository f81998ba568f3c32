import pytest

from podling.api.core.pod import POD
from podling.api.table import table
from podling.testing.samples import pod

NOW = 1_700_000_000.0
EARLIER = "2023-11-14T22:10:20Z"  # three minutes before

RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}


def waiting(reason, restarts=0):
    return {"restartCount": restarts, "state": {"waiting": {"reason": reason}}}


def ended(code=0, **more):
    return {"restartCount": 0, "state": {"terminated": {"exitCode": code, **more}}}


def cells(status, **spec):
    obj = pod(**spec)
    obj["metadata"]["creationTimestamp"] = EARLIER
    obj["status"] = {"phase": "Running", **status}
    return table(POD, [obj], NOW)["rows"][0]["cells"]


TWO = [{"name": "a"}, {"name": "b"}]
INIT = [{"name": "i"}, {"name": "j"}]


@pytest.mark.parametrize(
    ("status", "spec", "ready", "shown"),
    [
        ({"phase": "Pending"}, {}, "0/1", "Pending"),
        ({"containerStatuses": [RUNNING]}, {}, "1/1", "Running"),
        ({"containerStatuses": [waiting("CrashLoopBackOff", 3)]}, {}, "0/1", "CrashLoopBackOff"),
        ({"containerStatuses": [waiting("ImagePullBackOff"), RUNNING]}, {"containers": TWO}, "1/2", "ImagePullBackOff"),
        ({"phase": "Succeeded", "containerStatuses": [ended(reason="Completed")]}, {}, "0/1", "Completed"),
        ({"containerStatuses": [ended(3)]}, {}, "0/1", "ExitCode:3"),
        ({"containerStatuses": [ended(137, signal=9)]}, {}, "0/1", "Signal:9"),
        (
            {
                "containerStatuses": [ended(reason="Completed"), RUNNING],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
            {"containers": TWO},
            "1/2",
            "Running",
        ),
        ({"containerStatuses": [ended(reason="Completed"), RUNNING]}, {"containers": TWO}, "1/2", "NotReady"),
        ({"phase": "Pending", "initContainerStatuses": [RUNNING]}, {"initContainers": INIT}, "0/1", "Init:0/2"),
        ({"phase": "Pending", "initContainerStatuses": [ended(), RUNNING]}, {"initContainers": INIT}, "0/1", "Init:1/2"),
        ({"phase": "Pending", "initContainerStatuses": [ended(1)]}, {"initContainers": INIT}, "0/1", "Init:ExitCode:1"),
        (
            {"phase": "Pending", "initContainerStatuses": [waiting("CrashLoopBackOff", 2)]},
            {"initContainers": INIT},
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [waiting("PodInitializing")]},
            {"initContainers": INIT},
            "0/1",
            "Init:0/2",
        ),
        (
            {
                "initContainerStatuses": [{"name": "s", "started": True, "ready": True, **RUNNING}],
                "containerStatuses": [RUNNING],
            },
            {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            "2/2",
            "Running",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, {}, "0/1", "Evicted"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
            {},
            "0/1",
            "SchedulingGated",
        ),
    ],
)
def test_ready_and_status(status, spec, ready, shown):
    name, ready_cell, status_cell, _, age, *_ = cells(status, **spec)
    assert (name, ready_cell, status_cell, age) == ("web", ready, shown, "3m")


def test_a_deleted_pod_is_terminating():
    obj = pod()
    obj["metadata"]["deletionTimestamp"] = EARLIER
    obj["status"] = {"phase": "Running", "containerStatuses": [RUNNING]}
    assert table(POD, [obj], NOW)["rows"][0]["cells"][2] == "Terminating"


def test_restarts_tell_when_the_last_was():
    again = {**RUNNING, "restartCount": 4, "lastState": {"terminated": {"finishedAt": EARLIER}}}
    assert cells({"containerStatuses": [again]})[3] == "4 (3m ago)"
    assert cells({"containerStatuses": [RUNNING]})[3] == "0"


def test_the_wide_columns():
    wide = cells({"podIP": "10.0.0.1", "nominatedNodeName": "n2"}, nodeName="n1")[5:]
    assert wide == ["10.0.0.1", "n1", "n2", "<none>"]
    assert cells({})[5:] == ["<none>", "<none>", "<none>", "<none>"]
