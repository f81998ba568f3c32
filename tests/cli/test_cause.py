"""podling why: from what a pod shows to the chain of causes."""

import pytest

from podling.cli.cause import explain

READY_NODE = {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
LOST_NODE = {
    "metadata": {"name": "n1"},
    "status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}]},
}


def pod(spec=None, status=None, **metadata):
    return {
        "metadata": {"name": "p", "namespace": "default", **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}], **(spec or {})},
        "status": {"phase": "Pending", **(status or {})},
    }


def waiting(reason, **rest):
    return {"containerStatuses": [{"name": "c", "ready": False, "state": {"waiting": {"reason": reason}}, **rest}]}


def running(**rest):
    return {"phase": "Running", "containerStatuses": [{"name": "c", "ready": False, "state": {"running": {}}, **rest}]}


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
ENDED = {"terminated": {"exitCode": 3, "reason": "Error"}}
OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


@pytest.mark.parametrize(
    ("obj", "events", "node", "last"),
    [
        (
            pod(status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            [],
            READY_NODE,
            "runs and is ready",
        ),
        (pod(status={"phase": "Succeeded"}), [], READY_NODE, "has done its work"),
        (pod({"nodeName": ""}, {"conditions": [UNSCHEDULABLE]}), [], None, "0/1 nodes are available"),
        (pod({"nodeName": ""}), [], None, "has not looked at it yet"),
        (pod(), [], LOST_NODE, "Kubelet stopped posting node status."),
        (pod(), [], None, "does not exist"),
        (
            pod(status=waiting("ImagePullBackOff")),
            [{"reason": "Failed", "message": "manifest unknown"}],
            READY_NODE,
            "manifest unknown",
        ),
        (pod(status=waiting("CrashLoopBackOff", lastState=ENDED)), [], READY_NODE, "exit code 3"),
        (pod(status=waiting("CrashLoopBackOff", lastState=OOM)), [], READY_NODE, "more memory than its limit"),
        (pod(status=running()), [{"reason": "Unhealthy", "message": "HTTP 500"}], READY_NODE, "HTTP 500"),
        (pod(), [{"reason": "FailedMount", "message": 'configmap "x" not found'}], READY_NODE, 'configmap "x" not found'),
        (pod(deletionTimestamp="2024-01-01T00:00:00Z", finalizers=["a/b"]), [], READY_NODE, "finalizers a/b"),
    ],
)
def test_the_last_link_is_the_cause(obj, events, node, last):
    assert last in explain(obj, events, node)[-1].text


def test_advice_can_be_typed():
    assert explain(pod(status=waiting("CrashLoopBackOff", lastState=ENDED)), [], READY_NODE)[-1].advice == (
        "kubectl -n default logs p -c c --previous"
    )
