"""The node as the cluster sees it: kept free, lost, found again."""

import os
import signal

import pytest

from podling.testing.podling import Podling
from podling.testing.workloads import eventually, pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


def node(cluster: Podling) -> dict:
    (found,) = cluster.get("nodes")["items"]
    return found


def ready(cluster: Podling) -> str:
    return next(one["status"] for one in node(cluster)["status"]["conditions"] if one["type"] == "Ready")


def taints(cluster: Podling) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in node(cluster)["spec"].get("taints", [])}


def stop(cluster: Podling, process: str, number: int) -> None:
    pid = int(cluster.config.pid_file(process).read_text())
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, number)
        eventually(lambda: not _runs(pid))
    finally:
        os.close(descriptor)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_drained_node_takes_nothing_until_it_is_uncordoned(web):
    name = node(web)["metadata"]["name"]
    web.kubectl("drain", name, "--ignore-daemonsets", "--grace-period=1", "--timeout=30s")
    try:
        assert ("node.kubernetes.io/unschedulable", "NoSchedule") in taints(web)
        assert "Ready,SchedulingDisabled" in web.kubectl("get", "nodes").stdout
        waiting = eventually(lambda: web.kubectl("get", "events", "--field-selector=reason=FailedScheduling").stdout)
        assert "0/1 nodes are available: 1 node(s) were unschedulable" in waiting
        name_of_one = web.get("pods")["items"][0]["metadata"]["name"]
        explained = web.podling("why", f"pod/{name_of_one}", check=False).stdout
        assert "no node takes it" in explained
    finally:
        web.kubectl("uncordon", name)
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert taints(web) == set()


def test_a_taint_drives_away_what_does_not_tolerate_it(cluster):
    name = node(cluster)["metadata"]["name"]
    bears = {"tolerations": [{"key": "maintenance", "operator": "Exists"}]}
    cluster.apply(pod("goes", "sleep", "1000"), pod("stays", "sleep", "1000", **bears))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/goes", "pod/stays", "--timeout=20s")
    cluster.kubectl("taint", "node", name, "maintenance=now:NoExecute")
    try:
        cluster.kubectl("wait", "--for=delete", "pod/goes", "--timeout=20s")
        assert cluster.get("pod/stays")["status"]["phase"] == "Running"
        assert "Marking for deletion Pod default/goes" in cluster.kubectl("get", "events").stdout
    finally:
        cluster.kubectl("taint", "node", name, "maintenance-")


def test_leases_say_who_leads_and_lives(podling):
    name = node(podling)["metadata"]["name"]
    holders = {one["metadata"]["name"]: one["spec"]["holderIdentity"] for one in podling.get("leases", "-A")["items"]}
    assert holders == {"kube-controller-manager": name, "kube-scheduler": name, name: name}


def test_pods_outlive_an_agent_that_is_lost_and_the_node_says_so(cluster):
    cluster.apply(pod("lives", "sleep", "1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/lives", "--timeout=20s")
    before = cluster.get("pod/lives")["status"]["containerStatuses"][0]
    stop(cluster, "agent", signal.SIGKILL)
    try:
        eventually(lambda: ready(cluster) == "Unknown", timeout=60)  # after the grace of 40 seconds
        eventually(lambda: ("node.kubernetes.io/unreachable", "NoExecute") in taints(cluster))
        assert "NotReady" in cluster.kubectl("get", "nodes").stdout
        status = cluster.podling("status", check=False)
        assert status.returncode == 1
        assert "agent" in status.stdout
        assert "not running" in status.stdout
    finally:
        cluster.up()
    eventually(lambda: ready(cluster) == "True" and not taints(cluster))
    after = cluster.get("pod/lives")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    described = cluster.kubectl("describe", "node").stdout
    assert "NodeNotReady" in described
    assert "NodeReady" in described


def test_a_server_that_was_killed_is_followed_again(cluster):
    cluster.apply(pod("before", "sleep", "1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/before", "--timeout=20s")
    stop(cluster, "server", signal.SIGKILL)
    assert cluster.docker("ps", "-q", "--filter", "name=k8s_main_before").stdout.strip()
    failed = cluster.kubectl("get", "pods", check=False)
    assert "was refused" in failed.stderr
    cluster.up()
    cluster.apply(pod("after", "sleep", "1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=30s")
    assert cluster.get("pod/before")["status"]["containerStatuses"][0]["restartCount"] == 0
    cluster.kubectl("delete", "pod/before", "--timeout=20s")
