"""The real kubectl over every kind: apply, get, describe, explain, approve, delete."""

import json

import pytest

from podling.api.registry import KINDS
from podling.testing.apiserver import Served
from podling.testing.kinds import KEPT, sample

SPACE = "kinds"
SHOWN = [kind for kind in KEPT if kind.stored_as is None]


@pytest.fixture(scope="module")
def filled(served: Served) -> Served:
    """A server that has one object of each kind."""
    served.kubectl("create", "namespace", SPACE)
    served.kubectl("-n", SPACE, "create", "serviceaccount", "default")
    items = []
    for kind in SHOWN:
        obj = sample(kind)
        if kind.namespaced:
            obj["metadata"]["namespace"] = SPACE
        for reference in ("involvedObject", "regarding"):
            if reference in obj:
                obj[reference]["namespace"] = SPACE
        items.append(obj)
    done = served.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(items)
    return served


def test_what_is_applied_again_is_unchanged(filled: Served) -> None:
    kinds = {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Ingress", "NetworkPolicy", "PersistentVolume", "ResourceQuota"}
    items = [sample(kind) for kind in SHOWN if kind.kind in kinds]
    for obj in items:
        if "namespace" in obj["metadata"]:
            obj["metadata"]["namespace"] = SPACE
    lines = filled.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    ).splitlines()
    assert all(line.endswith(" unchanged") for line in lines), lines


def test_every_kind_has_rows_and_a_description(filled: Served) -> None:
    for kind in SHOWN:
        name = sample(kind)["metadata"]["name"]
        wide = filled.kubectl("-n", SPACE, "get", kind.resource, name, "-o", "wide").splitlines()
        assert [column.name.upper() for column in kind.columns] == _titles(wide[0]) or not kind.columns
    described = [
        kind.resource for kind in SHOWN if kind.group in ("apps", "batch", "networking.k8s.io", "storage.k8s.io", "policy")
    ]
    text = filled.kubectl("-n", SPACE, "describe", ",".join(described))
    assert text.count("\nName:") + text.startswith("Name:") >= len(described)


def _titles(line: str) -> list[str]:
    """The headings, which stand two blanks apart or more."""
    return [title.strip() for title in line.split("  ") if title.strip()]


def test_every_resource_is_listed(filled: Served) -> None:
    listed = filled.kubectl("api-resources", "--no-headers", "-o", "name").splitlines()
    assert set(listed) >= {kind.resource for kind in KINDS if kind.verbs}
    short = filled.kubectl("-n", SPACE, "get", "sts,ds,cj,hpa,pdb,ing,netpol,pvc,quota,limits,rc,csr,pv,sc", "-o", "name")
    assert len(short.splitlines()) >= 14


def test_explanations(filled: Served) -> None:
    for path in ("statefulset.spec.updateStrategy", "job.spec.podFailurePolicy", "ingress.spec.rules.http.paths.pathType"):
        assert "FIELD" in filled.kubectl("explain", path)


def test_a_certificate_request_is_approved(filled: Served) -> None:
    assert filled.kubectl("certificate", "approve", "sample").endswith(" approved\n")
    assert "Approved" in filled.kubectl("get", "csr", "sample")
    assert filled.run("certificate", "deny", "sample").returncode != 0


def test_older_versions(filled: Served) -> None:
    path = f"/apis/autoscaling/v1/namespaces/{SPACE}/horizontalpodautoscalers/sample"
    older = json.loads(filled.kubectl("get", "--raw", path))
    assert older["spec"]["targetCPUUtilizationPercentage"] == 80
    done = filled.run("-n", SPACE, "get", "deviceclasses.v1beta1.resource.k8s.io")
    assert "resource.k8s.io/v1beta1 DeviceClass is deprecated in v1.35+" in done.stderr


def test_workloads_by_hand(filled: Served) -> None:
    def run(*arguments: str) -> str:
        return filled.kubectl("-n", SPACE, *arguments)

    assert run("create", "job", "once", "--image=busybox", "--", "true") == "job.batch/once created\n"
    assert run("create", "cronjob", "often", "--image=busybox", "--schedule=* * * * *") == "cronjob.batch/often created\n"
    assert run("create", "job", "again", "--from=cronjob/often") == "job.batch/again created\n"
    assert run("create", "ingress", "in", "--rule=a.example.com/*=web:80") == "ingress.networking.k8s.io/in created\n"
    assert run("create", "pdb", "p", "--min-available=1", "--selector=a=b") == "poddisruptionbudget.policy/p created\n"
    assert run("create", "quota", "q", "--hard=pods=3") == "resourcequota/q created\n"
    assert run("scale", "sts/sample", "--replicas=3") == "statefulset.apps/sample scaled\n"
    assert run("autoscale", "deploy", "sample", "--max=4", "--name=a") == "horizontalpodautoscaler.autoscaling/a autoscaled\n"
    assert "sample" in run("rollout", "history", "ds/sample")
