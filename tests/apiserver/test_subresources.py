"""Scale and binding."""

from typing import Any

from podling.testing.apiserver import PODS, Api

Object = dict[str, Any]
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = "application/merge-patch+json"


def deployment() -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


async def test_scale(api: Api) -> None:
    created = await api.create(DEPLOYMENTS, deployment())
    scale = (await api("GET", f"{DEPLOYMENTS}/web/scale")).body
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    assert scale["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    scaled = await api("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 5}})
    assert scaled.body["spec"] == {"replicas": 5}
    stale = await api("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 6}})
    assert stale.status == 409
    patched = await api("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}, type=MERGE)
    assert patched.body["spec"] == {"replicas": 0}
    shown = (await api("GET", f"{DEPLOYMENTS}/web")).body
    assert (shown["spec"]["replicas"], shown["metadata"]["generation"]) == (0, 3)
    wrong = await api("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}}, type=MERGE)
    assert wrong.message == (
        'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    assert (await api("GET", f"{PODS}/p/scale")).status == 404


async def test_binding(api: Api, pod: Object) -> None:
    created = await api.create(PODS, pod)
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    other = {**binding, "metadata": {"name": "p", "uid": "another"}}
    assert (await api("POST", f"{PODS}/p/binding", other)).status == 409
    bound = await api("POST", f"{PODS}/p/binding", binding)
    assert (bound.status, bound.body["status"]) == (201, "Success")
    shown = (await api("GET", f"{PODS}/p")).body
    assert shown["spec"]["nodeName"] == "n"
    (condition,) = [each for each in shown["status"]["conditions"] if each["type"] == "PodScheduled"]
    assert condition["status"] == "True"
    assert shown["metadata"]["uid"] == created["metadata"]["uid"]
    again = await api("POST", f"{PODS}/p/binding", binding)
    assert again.message == ('Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"')
    assert (await api("POST", f"{PODS}/p/binding", {"target": {}})).status == 422


async def test_binding_by_the_older_path(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    binding = {"metadata": {"name": "p"}, "target": {"name": "n"}}
    bound = await api("POST", "/api/v1/namespaces/default/bindings", binding)
    assert (bound.status, bound.body["status"]) == (201, "Success")
    assert (await api("GET", f"{PODS}/p")).body["spec"]["nodeName"] == "n"
    nobody = await api("POST", "/api/v1/namespaces/default/bindings", {**binding, "metadata": {"name": "nobody"}})
    assert (nobody.status, nobody.message) == (404, 'pods "nobody" not found')
    assert (await api("POST", "/api/v1/namespaces/default/bindings", {**binding, "target": {}})).status == 422


async def test_ephemeral_containers_join_and_stay(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    added = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}], "nodeName": "elsewhere"}}
    patched = await api("PATCH", f"{PODS}/p/ephemeralcontainers", added, type="application/strategic-merge-patch+json")
    assert patched.status == 200, patched.body
    (container,) = patched.body["spec"]["ephemeralContainers"]
    assert container["terminationMessagePolicy"] == "File"
    assert "nodeName" not in patched.body["spec"]
    changed = {**patched.body, "spec": {**patched.body["spec"], "ephemeralContainers": [{**container, "image": "other"}]}}
    refused = await api("PUT", f"{PODS}/p/ephemeralcontainers", changed)
    assert refused.status == 422
    assert 'existing ephemeral containers "debug" may not be changed' in refused.message


async def test_scale_as_a_table(api: Api) -> None:
    await api.create(DEPLOYMENTS, deployment())
    table = await api("GET", f"{DEPLOYMENTS}/web/scale", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table.body["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert table.body["rows"][0]["cells"][:3] == ["web", 2, 0]
