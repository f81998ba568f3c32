"""What goes wrong with pods, and the state and the words in which kubectl shows it."""

import json
import time

import pytest

pytestmark = pytest.mark.root


def pod(name, *command, restart="Always", **container):
    """A pod of one busybox container."""
    made = {"name": "app", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", *command], **container}
    spec = {
        "containers": [made],
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 2,
        "automountServiceAccountToken": False,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def get(cluster, name):
    return json.loads(cluster.kubectl("get", "pod", name, "-o", "json").stdout)


def until(cluster, name, holds):
    """The pod once `holds` is true of its only container's status."""
    deadline = time.monotonic() + 60
    while True:
        status = get(cluster, name)["status"]
        container = (status.get("containerStatuses") or [{"state": {}, "lastState": {}}])[0]
        if holds(container):
            return container
        assert time.monotonic() < deadline, json.dumps(status, indent=1)
        time.sleep(0.2)


def waits(reason):
    return lambda status: status["state"].get("waiting", {}).get("reason") == reason


def events(cluster, name):
    found = json.loads(cluster.kubectl("get", "events", "-o", "json", f"--field-selector=involvedObject.name={name}").stdout)
    return {(event["reason"], event["message"]) for event in found["items"]}


def test_what_pods_die_of(cluster):
    hanging = {"exec": {"command": ["sleep", "1000"]}, "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 1}
    cluster.apply(
        pod("greedy", "tail /dev/zero", restart="Never", resources={"limits": {"memory": "16Mi"}}),
        pod("hangs", "sleep 1000", livenessProbe=hanging),
        pod("deaf", "trap '' TERM; while true; do sleep 0.1; done"),
        pod("gone", "true", image="localhost:1/gone:1"),
        pod("never", "true", image="localhost:1/gone:1", imagePullPolicy="Never"),
        pod("misnamed", "true", image="UPPER CASE"),
        pod("crashes", "exit 3"),
    )
    end = until(cluster, "greedy", lambda status: "terminated" in status["state"])["state"]["terminated"]
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)
    assert get(cluster, "greedy")["status"]["phase"] == "Failed"

    waiting = until(cluster, "never", waits("ErrImageNeverPull"))["state"]["waiting"]
    assert waiting["message"] == 'Container image "localhost:1/gone:1" is not present with pull policy of Never'
    until(cluster, "misnamed", waits("InvalidImageName"))
    waiting = until(cluster, "gone", waits("ImagePullBackOff"))["state"]["waiting"]
    assert waiting["message"].startswith('Back-off pulling image "localhost:1/gone:1": ErrImagePull: ')
    assert ("Failed", "Error: ErrImagePull") in events(cluster, "gone")

    crashed = until(cluster, "crashes", waits("CrashLoopBackOff"))
    assert crashed["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=app pod=crashes_default(")
    assert crashed["lastState"]["terminated"]["exitCode"] == 3

    restarted = until(cluster, "hangs", lambda status: status.get("restartCount", 0) >= 1)
    assert restarted["lastState"]["terminated"]["exitCode"] == 137
    told = events(cluster, "hangs")
    assert ("Killing", "Container app failed liveness probe, will be restarted") in told
    assert ("Unhealthy", 'Liveness probe failed: command timed out: "sleep 1000" timed out after 1s') in told

    until(cluster, "deaf", lambda status: "running" in status["state"])
    begin = time.monotonic()
    cluster.kubectl("delete", "pod", "deaf", "--timeout=30s")
    assert 1.5 < time.monotonic() - begin < 30
    assert ("Killing", "Stopping container app") in events(cluster, "deaf")
