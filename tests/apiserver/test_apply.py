"""Server-side apply and managedFields, as clients see them."""

import json
from typing import Any

import pytest
from kubernetes import client, config

from podling.testing.apiserver import CONFIG_MAPS, Answer, Api, Served

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def deployment(**spec: Any) -> Object:
    containers = [{"name": "main", "image": "busybox"}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    whole = {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": whole}


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


async def apply(api: Api, path: str, obj: Any, manager: str = "a", **query: str) -> Answer:
    return await api("PATCH", path, obj, type=APPLY, fieldManager=manager, **query)


def managers(obj: Object) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields", [])
    return [(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries]


async def test_an_intent_creates_and_changes(api: Api) -> None:
    made = await apply(api, f"{CONFIG_MAPS}/c", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', b: '2'}\n")
    assert made.status == 201
    entry = {"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    fields = {"f:data": {"f:a": {}, "f:b": {}}}
    time = made.body["metadata"]["creationTimestamp"]
    assert made.body["metadata"]["managedFields"] == [{**entry, "time": time, "fieldsV1": fields}]
    await api.clock.advance(60)
    again = await apply(api, f"{CONFIG_MAPS}/c", config_map(a="1", b="2"))
    assert (again.status, again.body) == (200, made.body)
    fewer = await apply(api, f"{CONFIG_MAPS}/c", config_map(a="3"))
    assert fewer.body["data"] == {"a": "3"}
    assert fewer.body["metadata"]["managedFields"][0]["time"] != time
    dry = await apply(api, f"{CONFIG_MAPS}/c", config_map(a="4"), dryRun="All")
    assert dry.body["data"] == {"a": "4"}
    assert (await api("GET", f"{CONFIG_MAPS}/c")).body == fewer.body


async def test_writes_tell_their_manager(api: Api) -> None:
    await api("POST", CONFIG_MAPS, config_map(a="1"), fieldManager="creator")
    await api("PATCH", f"{CONFIG_MAPS}/c", {"data": {"b": "2"}}, type=MERGE, fieldManager="patcher")
    put = await api("PUT", f"{CONFIG_MAPS}/c", config_map(a="1", b="3"), fieldManager="putter")
    assert managers(put.body) == [("creator", "Update", ""), ("putter", "Update", "")]
    assert put.body["metadata"]["managedFields"][1]["fieldsV1"] == {"f:data": {"f:b": {}}}


async def test_each_subresource_has_its_own_entry(api: Api) -> None:
    await apply(api, f"{DEPLOYMENTS}/web", deployment(replicas=1))
    status = {**deployment(), "spec": {}, "status": {"observedGeneration": 1, "replicas": 1}}
    shown = await apply(api, f"{DEPLOYMENTS}/web/status", {**status, "spec": {"replicas": 9}}, "controller")
    assert shown.body["status"] == {"observedGeneration": 1, "replicas": 1}
    assert shown.body["spec"]["replicas"] == 1
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 4}}
    refused = await apply(api, f"{DEPLOYMENTS}/web/scale", scale, "scaler")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "a": .spec.replicas'
    scaled = await apply(api, f"{DEPLOYMENTS}/web/scale", scale, "scaler", force="true")
    assert scaled.body["spec"] == {"replicas": 4}
    found = (await api("GET", f"{DEPLOYMENTS}/web")).body
    assert managers(found) == [("a", "Apply", ""), ("controller", "Apply", "status"), ("scaler", "Apply", "scale")]
    assert found["metadata"]["managedFields"][2]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


async def test_managers_can_be_edited_and_forgotten(api: Api) -> None:
    made = await api.create(CONFIG_MAPS, config_map(a="1"))
    (entry,) = made["metadata"]["managedFields"]
    patch = {"metadata": {"managedFields": [{**entry, "manager": "me", "operation": "Apply"}]}}
    assert managers((await api("PATCH", f"{CONFIG_MAPS}/c", patch, type=MERGE)).body) == [("me", "Apply", "")]
    kept = await api("PUT", f"{CONFIG_MAPS}/c", config_map(a="1"))  # from a client that doesn't know of managers
    assert managers(kept.body) == [("me", "Apply", "")]
    reset = await api("PATCH", f"{CONFIG_MAPS}/c", {"metadata": {"managedFields": [{}]}}, type=MERGE)
    assert "managedFields" not in reset.body["metadata"]
    changed = await api("PUT", f"{CONFIG_MAPS}/c", config_map(a="2"))
    assert "managedFields" not in changed.body["metadata"]
    taken = await apply(api, f"{CONFIG_MAPS}/c", config_map(a="3"))
    assert "before-first-apply" in taken.message


@pytest.mark.parametrize(
    ("body", "query", "code", "message"),
    [
        (config_map(), {"fieldManager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (config_map(), {"fieldManager": "x" * 129}, 422, "fieldManager: Too long: may not be more than 128 bytes"),
        (b"{", {}, 400, "error decoding YAML"),
        (b"[]", {}, 400, "cannot unmarshal array"),
        ({**config_map(), "kind": "Secret"}, {}, 400, "does not match the expected kind (ConfigMap)"),
        (
            {**config_map(), "metadata": {"name": "d"}},
            {},
            400,
            "the name of the object (d) does not match the name on the URL",
        ),
        ({**config_map(), "metadata": {"name": "c", "managedFields": [{}]}}, {}, 400, "metadata.managedFields must be nil"),
        ({**config_map(), "dada": {}}, {}, 500, ".dada: field not declared in schema"),
        ({**config_map(), "data": {"a": 1}}, {}, 400, "cannot unmarshal number"),
    ],
)
async def test_refused_intents(api: Api, body: Any, query: dict[str, str], code: int, message: str) -> None:
    answer = await api("PATCH", f"{CONFIG_MAPS}/c", body, type=APPLY, **{"fieldManager": "a", **query})
    assert (answer.status, answer.body["kind"]) == (code, "Status")
    assert message in answer.message
    assert (await api("GET", f"{CONFIG_MAPS}/c")).status == 404


async def test_only_apply_can_be_forced(api: Api) -> None:
    answer = await api("PATCH", f"{CONFIG_MAPS}/c", {}, type=MERGE, force="true")
    assert answer.message == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )


async def test_an_intent_for_another_revision_conflicts(api: Api) -> None:
    await apply(api, f"{CONFIG_MAPS}/c", config_map(a="1"))
    wish = config_map(a="2")
    wish["metadata"]["resourceVersion"] = "1"
    assert (await apply(api, f"{CONFIG_MAPS}/c", wish)).status == 409


def test_kubectl_applies_on_the_server(served: Served) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = served.run("apply", "--server-side", "-f", "-", *arguments, stdin=json.dumps(wish))
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    wish = deployment(replicas=2)
    wish["metadata"]["namespace"] = "default"
    served.kubectl("apply", "-f", "-", stdin=json.dumps(wish))
    assert run() == "deployment.apps/web serverside-applied\n"  # over what was applied from the client
    shown = json.loads(served.kubectl("get", "deploy", "web", "-o", "json", "--show-managed-fields"))
    assert {name for name, operation, _ in managers(shown)} == {"kubectl", "kubectl-last-applied"}
    served.kubectl("scale", "deploy", "web", "--replicas=5")
    refused = run(code=1)
    assert 'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1' in refused
    assert ": .spec.replicas" in refused
    run("--force-conflicts")
    wish["spec"]["paused"] = True
    run("--field-manager=other")
    del wish["spec"]["paused"], wish["spec"]["replicas"]
    run()
    assert served.kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {.spec.paused}") == "2 true"
    served.kubectl("apply", "-f", "-", stdin=json.dumps(deployment(replicas=3)))  # and back to the client


def test_the_python_client_applies(served: Served) -> None:
    with config.new_client_from_config(str(served.kubeconfig)) as connection:
        api = client.CoreV1Api(connection)
        wish = config_map(a="1")
        wish["metadata"]["name"] = "applied"
        kept: Any = {"field_manager": "python", "_content_type": APPLY}
        made = api.patch_namespaced_config_map("applied", "default", wish, **kept)
        assert (made.data, made.metadata.managed_fields[0].manager) == ({"a": "1"}, "python")
        wish["data"] = {"b": "2"}
        assert api.patch_namespaced_config_map("applied", "default", wish, force=True, **kept).data == {"b": "2"}
