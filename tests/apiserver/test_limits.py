"""Limit ranges: what they fill in and what they refuse."""

from typing import Any

import pytest

from podling.apiserver.limits import complaints
from podling.testing.apiserver import PODS, Api

Object = dict[str, Any]
RANGES = "/api/v1/namespaces/default/limitranges"


def limit(kind: str = "Container", **bounds: Object) -> Object:
    return {"metadata": {"name": "l"}, "spec": {"limits": [{"type": kind, **bounds}]}}


def pod(*needs: Object) -> Object:
    return {"spec": {"containers": [{"name": f"c{n}", "resources": each} for n, each in enumerate(needs)]}}


SMALL = {"requests": {"cpu": "50m"}, "limits": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (limit(min={"cpu": "100m"}), "minimum cpu usage per Container is 100m, but request is 50m"),
        (limit(max={"cpu": "1"}), "maximum cpu usage per Container is 1, but limit is 2"),
        (limit(max={"memory": "1Gi"}), "maximum memory usage per Container is 1Gi.  No limit is specified"),
        (limit(min={"memory": "1Gi"}), "minimum memory usage per Container is 1Gi.  No request is specified"),
        (
            limit(maxLimitRequestRatio={"cpu": "10"}),
            "cpu max limit to request ratio per Container is 10, but provided ratio is 40.000000",
        ),
        (limit("Pod", max={"cpu": "3"}), None),
    ],
)
def test_bounds_of_a_container(bounds: Object, said: str | None) -> None:
    assert complaints("pods", pod(SMALL), [bounds]) == ([said] if said else [])


def test_bounds_of_a_pod_are_about_all_its_containers() -> None:
    bounds = limit("Pod", max={"cpu": "3"})
    assert complaints("pods", pod(SMALL, SMALL), [bounds]) == ["maximum cpu usage per Pod is 3, but limit is 4"]


def test_bounds_of_a_claim() -> None:
    claim = {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    bounds = limit("PersistentVolumeClaim", min={"storage": "2Gi"}, max={"storage": "3Gi"})
    said = ["minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi"]
    assert complaints("persistentvolumeclaims", claim, [bounds]) == said


async def test_defaults_and_refusals(api: Api, pod: Object) -> None:
    bounds = limit(default={"cpu": "1"}, defaultRequest={"cpu": "100m", "memory": "1Mi"}, max={"cpu": "2"})
    await api.create(RANGES, bounds)
    made = await api.create(PODS, pod)
    resources = made["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "1"}}
    noted = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert noted == "LimitRanger plugin set: cpu, memory request for container main; cpu limit for container main"
    pod["metadata"]["name"] = "q"
    pod["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "3"}}
    refused = await api("POST", PODS, pod)
    assert refused.status == 403
    assert refused.message == 'pods "q" is forbidden: maximum cpu usage per Container is 2, but limit is 3'
