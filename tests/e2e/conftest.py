"""What the tests of a whole podling share."""

import json

import pytest

from podling.testing.workloads import SERVICE, WEB


@pytest.fixture
def cluster(podling):
    """The shared podling; what a test leaves in the default namespace goes before the next."""
    yield podling
    owners = "cronjobs,jobs,deployments,statefulsets,daemonsets,replicationcontrollers,replicasets"
    kinds = f"{owners},pods,services,configmaps,secrets,poddisruptionbudgets,horizontalpodautoscalers"
    found = json.loads(podling.kubectl("get", kinds, "-o", "json").stdout)["items"]
    names = [f"{item['kind'].lower()}/{item['metadata']['name']}" for item in found]
    kept = {"service/kubernetes", "configmap/kube-root-ca.crt"}
    if doomed := [name for name in names if name not in kept]:
        podling.kubectl("delete", "--now", "--ignore-not-found", *doomed)


@pytest.fixture
def web(cluster):
    """A Deployment of two replicas behind a Service, rolled out."""
    cluster.apply(WEB, SERVICE)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return cluster
