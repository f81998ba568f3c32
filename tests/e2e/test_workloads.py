"""StatefulSets, DaemonSets, Jobs and what else runs pods, with real containers, as kubectl drives them."""

import json
from typing import Any

import pytest

from podling.testing.podling import Podling
from podling.testing.workloads import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

SERVE = "exec httpd -f -p 8080 -h /etc"


def template(name: str, script: str = SERVE, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "main",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
    }
    if script == SERVE:
        container["readinessProbe"] = {"httpGet": {"path": "/hostname", "port": 8080}, "periodSeconds": 1}
    inner = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"metadata": {"labels": {"app": name}}, "spec": inner}


def workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    whole = {"selector": {"matchLabels": {"app": name}}, "template": template(name), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def job(name: str, script: str, **spec: Any) -> dict[str, Any]:
    whole = {"template": template(name, script, restartPolicy="Never"), **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": whole}


def headless(name: str) -> dict[str, Any]:
    spec = {"clusterIP": "None", "selector": {"app": name}, "ports": [{"name": "http", "port": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def rolled_out(cluster: Podling, what: str) -> None:
    cluster.kubectl("rollout", "status", what, "--timeout=45s")


def uids(cluster: Podling, app: str) -> dict[str, str]:
    found = cluster.get("pods", "-l", f"app={app}")["items"]
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found if "deletionTimestamp" not in one["metadata"]}


def has_colour(cluster: Podling, app: str) -> set[bool]:
    found = cluster.get("pods", "-l", f"app={app}")["items"]
    return {"env" in one["spec"]["containers"][0] for one in found}


def test_the_pods_of_a_stateful_set_have_names_that_stay(cluster):
    cluster.apply(headless("db"), workload("StatefulSet", "db", replicas=3, serviceName="db"))
    rolled_out(cluster, "statefulset/db")
    before = uids(cluster, "db")
    assert sorted(before) == ["db-0", "db-1", "db-2"]
    for name in ("db-2.db", "db-1.db.default.svc.cluster.local"):
        seen = cluster.kubectl("exec", "db-0", "--", "wget", "-q", "-O", "-", f"http://{name}:8080/hostname").stdout
        assert seen.strip() == name.partition(".")[0]
    cluster.kubectl("delete", "pod", "db-1", "--now")
    eventually(lambda: uids(cluster, "db").get("db-1") not in (None, before["db-1"]))
    rolled_out(cluster, "statefulset/db")
    again = cluster.kubectl("exec", "db-0", "--", "wget", "-q", "-O", "-", "http://db-1.db:8080/hostname").stdout
    assert again.strip() == "db-1"
    labels = cluster.get("pod", "db-1")["metadata"]["labels"]
    assert (labels["apps.kubernetes.io/pod-index"], labels["statefulset.kubernetes.io/pod-name"]) == ("1", "db-1")
    cluster.kubectl("scale", "statefulset/db", "--replicas=1")
    eventually(lambda: sorted(uids(cluster, "db")) == ["db-0"])


@pytest.mark.parametrize(("kind", "spec"), [("StatefulSet", {"replicas": 2, "serviceName": "set"}), ("DaemonSet", {})])
def test_a_set_is_rolled_out_and_back(cluster, kind, spec):
    what = f"{kind.lower()}/set"
    cluster.apply(workload(kind, "set", **spec))
    rolled_out(cluster, what)
    cluster.kubectl("set", "env", what, "COLOUR=green")
    rolled_out(cluster, what)
    eventually(lambda: has_colour(cluster, "set") == {True})
    history = cluster.kubectl("rollout", "history", what).stdout.split()
    assert [word for word in history if word.isdecimal()] == ["1", "2"]
    assert "COLOUR" in cluster.kubectl("rollout", "history", what, "--revision=2").stdout
    cluster.kubectl("rollout", "undo", what)
    rolled_out(cluster, what)
    eventually(lambda: has_colour(cluster, "set") == {False})
    assert cluster.get(what)["status"]["observedGeneration"] == 3


def test_a_job_ends_when_all_its_indexes_are_done(cluster):
    spec = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
    cluster.apply(job("sum", "echo part $JOB_COMPLETION_INDEX on $HOSTNAME", **spec))
    cluster.kubectl("wait", "--for=condition=Complete", "job/sum", "--timeout=30s")
    status = cluster.get("job", "sum")["status"]
    assert (status["succeeded"], status["completedIndexes"], status["uncountedTerminatedPods"]) == (3, "0-2", {})
    said = cluster.kubectl("logs", "-l", "app=sum").stdout.splitlines()
    assert sorted(said) == [f"part {number} on sum-{number}" for number in range(3)]
    assert "3/3" in cluster.kubectl("get", "job", "sum").stdout
    assert "Completed" in cluster.kubectl("describe", "job", "sum").stdout


def test_a_job_fails_by_its_policy_at_once(cluster):
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    cluster.apply(job("bad", "exit 42", podFailurePolicy={"rules": [rule]}))
    cluster.kubectl("wait", "--for=condition=Failed", "job/bad", "--timeout=30s")
    (final,) = [one for one in cluster.get("job", "bad")["status"]["conditions"] if one["type"] == "Failed"]
    assert final["reason"] == "PodFailurePolicy"
    assert final["message"].endswith("failed with exit code 42 matching FailJob rule at index 0")


def test_a_running_job_is_deleted_and_its_pods_with_it(cluster):
    cluster.apply(job("long", "sleep 1000"))
    eventually(lambda: cluster.get("job", "long")["status"].get("ready") == 1)
    cluster.kubectl("delete", "job", "long")
    eventually(lambda: not cluster.get("pods", "-l", "app=long")["items"])


def test_a_job_by_hand_from_a_cron_job(cluster):
    cluster.kubectl("create", "cronjob", "tick", "--image=busybox", "--schedule=0 0 1 1 *", "--", "echo", "tock")
    cluster.kubectl("create", "job", "now", "--from=cronjob/tick")
    cluster.kubectl("wait", "--for=condition=Complete", "job/now", "--timeout=30s")
    assert cluster.kubectl("logs", "job/now").stdout == "tock\n"


def test_evictions_keep_to_the_budget(web):
    web.kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    eventually(lambda: web.get("pdb", "web")["status"].get("currentHealthy") == 2)
    victim = next(iter(uids(web, "web")))
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}})
    path = f"/api/v1/namespaces/default/pods/{victim}/eviction"
    refused = web.kubectl("create", "--raw", path, "-f", "-", input=eviction, check=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.stderr
    web.kubectl("scale", "deployment/web", "--replicas=3")
    eventually(lambda: web.get("pdb", "web")["status"]["disruptionsAllowed"] == 1)
    web.kubectl("create", "--raw", path, "-f", "-", input=eviction)
    eventually(lambda: victim not in uids(web, "web"))


def test_an_autoscaler_keeps_the_least(web):
    web.kubectl("autoscale", "deployment/web", "--min=3", "--max=4", "--cpu-percent=80")
    eventually(lambda: len(uids(web, "web")) == 3)
    assert "New size: 3; reason: Current number of replicas below Spec.MinReplicas" in web.kubectl("describe", "hpa/web").stdout


def test_a_replication_controller(cluster):
    controller = workload("ReplicationController", "old", replicas=2, selector={"app": "old"})
    cluster.apply({**controller, "apiVersion": "v1"})
    eventually(lambda: cluster.get("rc", "old")["status"].get("readyReplicas") == 2)
    cluster.kubectl("scale", "rc/old", "--replicas=0")
    eventually(lambda: not uids(cluster, "old"))


def test_a_deleted_pod_of_a_job_counts_once_and_is_replaced_when_it_has_ended(cluster):
    cluster.apply(job("long", "sleep 1000", podReplacementPolicy="Failed"))
    (first,) = eventually(lambda: uids(cluster, "long"))
    eventually(lambda: cluster.get("job", "long")["status"].get("ready") == 1)
    cluster.kubectl("delete", "pod", first)
    eventually(lambda: cluster.get("job", "long")["status"].get("failed") == 1)
    assert cluster.get("job", "long")["status"]["uncountedTerminatedPods"] == {}
    cluster.kubectl("patch", "job", "long", "-p", '{"spec": {"activeDeadlineSeconds": 1}}')
    cluster.kubectl("wait", "--for=condition=Failed", "job/long", "--timeout=30s")
    assert cluster.get("job", "long")["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"
