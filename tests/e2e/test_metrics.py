"""What pods use, as `kubectl top`, Prometheus and an autoscaler see it: with measurements each second."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podling.testing.podling import Podling, running_podling
from podling.testing.workloads import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PATIENCE = 90.0
# Idle until the switch is there, then as busy as the limit allows.
WORK = "while :; do if [ -e /load/on ]; then i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; else sleep 0.5; fi; done"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podling]:
    """A podling that measures, and whose autoscalers look, each second."""
    config = tmp_path_factory.mktemp("metrics") / "config.toml"
    config.write_text("metrics_resolution = 1\nhorizontal_pod_autoscaler_sync_period = 1\n")
    with running_podling("--config", str(config)) as podling:
        yield podling


def web(load: Path) -> list[dict]:
    """A workload that is busy while the switch is on, and its autoscaler."""
    container = {
        "name": "main",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", WORK],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}},
        "volumeMounts": [{"name": "load", "mountPath": "/load"}],
    }
    volumes = [{"name": "load", "hostPath": {"path": str(load)}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    deployment = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    autoscaler = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [metric],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": deployment},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": autoscaler},
    ]


def wait(podling: Podling, what: str, path: str, value: object) -> None:
    podling.kubectl("wait", what, f"--for=jsonpath={path}={value}", f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 30)


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()[1:]]


def test_a_busy_workload_grows_and_shrinks_again(measured, tmp_path):
    switch = tmp_path / "on"
    measured.apply(*web(tmp_path))
    try:
        wait(measured, "hpa/web", "{.status.currentMetrics[0].type}", "Resource")
        switch.touch()
        wait(measured, "deployment/web", "{.status.readyReplicas}", 3)
        told = measured.kubectl("describe", "hpa", "web").stdout
        assert "reason: cpu resource utilization (percentage of request) above target" in told
        switch.unlink()
        wait(measured, "deployment/web", "{.status.replicas}", 1)
        told = measured.kubectl("describe", "hpa", "web").stdout
        assert "New size: 1; reason: All metrics below target" in told
        assert "ValidMetricFound" in told
    finally:
        measured.kubectl("delete", "deployment/web", "hpa/web", "--cascade=foreground")


BUSY = ("run", "busy", "--image=busybox", "--image-pull-policy=IfNotPresent", "--", "sh", "-c", "while :; do :; done")


@pytest.fixture
def busy(measured: Podling) -> Iterator[Podling]:
    measured.kubectl(*BUSY)
    wait(measured, "pod/busy", "{.status.phase}", "Running")
    yield measured
    measured.kubectl("delete", "pod", "busy", "--now")


def test_top(busy):
    def used() -> list[list[str]]:
        found = rows(busy.kubectl("top", "pods", "--containers", check=False).stdout)
        return found if found and int(found[0][2].removesuffix("m")) > 50 else []

    ((pod, container, *_),) = eventually(used, PATIENCE)
    assert (pod, container) == ("busy", "busy")
    ((name, cpu, share, memory, _),) = rows(busy.kubectl("top", "nodes").stdout)
    assert name == busy.get("nodes")["items"][0]["metadata"]["name"]
    assert int(cpu.removesuffix("m")) > 50
    assert int(share.removesuffix("%")) > 0
    assert int(memory.removesuffix("Mi")) > 0
    service = busy.get("apiservice", "v1beta1.metrics.k8s.io")
    assert service["status"]["conditions"][0]["status"] == "True"
    shown = busy.kubectl("get", "pods.metrics.k8s.io").stdout.split("\n")
    assert shown[0].split() == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert "NotFound" in busy.kubectl("get", "pods.metrics.k8s.io", "none", check=False).stderr
    refused = busy.kubectl("top", "pods", "--as=nobody", check=False).stderr
    assert 'User "nobody" cannot list resource "pods" in API group "metrics.k8s.io"' in refused


# Prints the status and the beginning of the answer.
SCRAPE = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
context = ssl.create_default_context(cafile=sys.argv[3])
try:
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture
def prometheus(busy: Podling) -> Iterator[str]:
    """The token of a service account that may read the nodes' metrics once `scrape` is bound to it."""
    busy.kubectl("create", "serviceaccount", "prometheus")
    busy.kubectl("create", "clusterrole", "scrape", "--verb=get", "--resource=nodes/metrics")
    yield busy.kubectl("create", "token", "prometheus").stdout.strip()
    busy.kubectl("delete", "--ignore-not-found", "serviceaccount/prometheus", "clusterrole/scrape", "clusterrolebinding/scrape")


def test_prometheus_with_a_service_account(busy, prometheus):
    """Over the API server's proxy, and straight from the agent with a token that a role lets in."""
    config = busy.config
    summary = json.loads(busy.kubectl("get", "--raw", f"/api/v1/nodes/{config.node_name}/proxy/stats/summary").stdout)
    assert summary["node"]["nodeName"] == config.node_name
    assert "busy" in {pod["podRef"]["name"] for pod in summary["pods"]}
    base = f"https://{config.node_address}:{config.kubelet_port}"

    def scrape(path: str, bearer: str = prometheus) -> str:
        return busy.run(sys.executable, "-c", SCRAPE, base + path, bearer, str(config.pki / "ca.crt")).stdout

    user = "system:serviceaccount:default:prometheus"
    assert scrape("/stats/summary") == f"403 Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[stats])\n\n"
    assert scrape("/metrics", "nonsense") == "401 Unauthorized\n\n"
    busy.kubectl("create", "clusterrolebinding", "scrape", "--clusterrole=scrape", "--serviceaccount=default:prometheus")
    metrics = scrape("/metrics/cadvisor")
    assert metrics.startswith("200 ")
    assert 'container_memory_working_set_bytes{container="busy"' in metrics
