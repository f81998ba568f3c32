"""Custom resources from definition to deletion, in process, through kubectl and through the Python client."""

import asyncio
import json
from typing import Any

import pytest
from kubernetes import client, config

from podling.apiserver.server import ApiServer
from podling.store.memory import MemoryStore
from podling.testing.apiserver import Admin, AllowAll, Api, Served
from podling.testing.clock import ManualClock

Object = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABS = "/apis/stable.example.com/v1/namespaces/default/crontabs"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

SPEC: Object = {
    "type": "object",
    "description": "What is wished.",
    "required": ["schedule"],
    "properties": {
        "schedule": {"type": "string", "pattern": "^[^ ]+( [^ ]+){4}$"},
        "image": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1, "description": "How many."},
        "port": {"x-kubernetes-int-or-string": True},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "number": {"type": "integer"}},
            },
        },
    },
}
STATUS: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name: str = "v1", **more: Any) -> Object:
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}, **more}


def definition(*versions: Object, **names: Any) -> Object:
    names = {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"], **names}
    spec = {"group": "stable.example.com", "scope": "Namespaced", "names": names, "versions": list(versions or [rich()])}
    metadata = {"name": f"{names['plural']}.stable.example.com"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def rich() -> Object:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    ready = '.status.conditions[?(@.type=="Ready")].status'
    columns = [
        {"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Ready", "type": "string", "jsonPath": ready, "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    selectable = [{"jsonPath": ".spec.image"}]
    return version(subresources={"status": {}, "scale": scale}, additionalPrinterColumns=columns, selectableFields=selectable)


def tab(name: str = "a", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"schedule": "* * * * *", **spec}}


async def settled(api: Api, name: str = "crontabs.stable.example.com") -> Object:
    """The definition once its status says something."""
    for _ in range(50):
        found = (await api("GET", f"{CRDS}/{name}")).body
        if (found.get("status") or {}).get("conditions"):
            break
        await asyncio.sleep(0.01)
    assert isinstance(found, dict)
    return found


def conditions(obj: Object) -> dict[str, str]:
    return {each["type"]: each["status"] for each in obj["status"]["conditions"]}


async def test_a_definition_is_served_as_soon_as_it_is_there(api: Api) -> None:
    assert (await api("GET", TABS)).status == 404
    await api.create(CRDS, definition())
    made = await api.create(TABS, tab())
    assert (made["apiVersion"], made["kind"], made["spec"]["replicas"]) == ("stable.example.com/v1", "CronTab", 1)
    assert (made["metadata"]["generation"], "status" in made) == (1, False)
    shown = await settled(api)
    assert conditions(shown) == {"NamesAccepted": "True", "Established": "True"}
    names = shown["status"]["acceptedNames"]
    assert (names["plural"], names["singular"], names["listKind"]) == ("crontabs", "crontab", "CronTabList")
    assert shown["status"]["storedVersions"] == ["v1"]
    listed = (await api("GET", TABS)).body
    assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == ("CronTabList", ["a"])
    resources = (await api("GET", "/apis/stable.example.com/v1")).body["resources"]
    assert [each["name"] for each in resources] == ["crontabs", "crontabs/status", "crontabs/scale"]
    assert (resources[0]["shortNames"], resources[0]["categories"]) == (["ct"], ["all"])


@pytest.mark.parametrize(
    ("obj", "query", "code", "message"),
    [
        (tab(replicas=0), {}, 422, "spec.replicas in body should be greater than or equal to 1"),
        (tab(schedule="x"), {}, 422, 'CronTab.stable.example.com "a" is invalid: spec.schedule: Invalid value: "x"'),
        ({"metadata": {"name": "a"}, "spec": {}}, {}, 422, "spec.schedule: Required value"),
        (tab(immage="x"), {"fieldValidation": "Strict"}, 400, 'strict decoding error: unknown field "spec.immage"'),
        ({"metadata": {"name": "A"}, "spec": tab()["spec"]}, {}, 422, "metadata.name: Invalid value"),
        ({"metadata": 7}, {}, 400, "metadata"),
        ({"kind": "Cron", **tab()}, {}, 400, "does not match the expected kind"),
    ],
)
async def test_what_the_schema_refuses(api: Api, obj: Object, query: dict[str, str], code: int, message: str) -> None:
    await api.create(CRDS, definition())
    answer = await api("POST", TABS, obj, **query)
    assert (answer.status, answer.body["kind"]) == (code, "Status")
    assert message in answer.message


async def test_unknown_fields_are_pruned_and_warned_of(api: Api) -> None:
    await api.create(CRDS, definition())
    answer = await api("POST", TABS, tab(immage="x"))
    assert "immage" not in answer.body["spec"]
    assert answer.headers.get("warning") == '299 - "unknown field \\"spec.immage\\""'


async def test_status_and_scale(api: Api) -> None:
    await api.create(CRDS, definition())
    made = await api.create(TABS, {**tab(), "status": {"replicas": 9}})
    assert "status" not in made
    patched = await api("PATCH", f"{TABS}/a", {"spec": {"image": "x"}, "status": {"replicas": 9}}, type=MERGE)
    assert (patched.body["metadata"]["generation"], "status" in patched.body) == (2, False)
    status = {"spec": {"image": "y"}, "status": {"replicas": 2, "selector": "a=b"}}
    shown = (await api("PATCH", f"{TABS}/a/status", status, type=MERGE)).body
    assert (shown["spec"]["image"], shown["status"], shown["metadata"]["generation"]) == ("x", status["status"], 2)
    scale = (await api("GET", f"{TABS}/a/scale")).body
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 2, "selector": "a=b"})
    await api("PUT", f"{TABS}/a/scale", {**scale, "spec": {"replicas": 3}})
    assert (await api("GET", f"{TABS}/a")).body["spec"]["replicas"] == 3
    assert (await api("PATCH", f"{TABS}/a/scale", {"spec": {"replicas": 30}}, type=MERGE)).status == 422


async def test_versions_show_the_same_object(api: Api) -> None:
    await api.create(CRDS, definition(version("v1beta1"), version("v1"), version("v1alpha1", served=False)))
    group = (await api("GET", "/apis/stable.example.com")).body
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]
    older = TABS.replace("/v1/", "/v1beta1/")
    made = await api.create(older, tab())
    assert made["apiVersion"] == "stable.example.com/v1beta1"
    assert (await api("GET", f"{TABS}/a")).body["apiVersion"] == "stable.example.com/v1"
    changed = await api("PATCH", f"{older}/a", {"spec": {"image": "x"}}, type=MERGE)
    assert changed.body["apiVersion"] == "stable.example.com/v1beta1"
    assert [each["apiVersion"] for each in (await api("GET", older)).body["items"]] == ["stable.example.com/v1beta1"]
    events = await api.watch(older)
    assert (await events.next())[1]["apiVersion"] == "stable.example.com/v1beta1"
    assert (await api("GET", TABS.replace("/v1/", "/v1alpha1/"))).status == 404


async def test_versions_that_a_webhook_would_convert_are_refused(api: Api) -> None:
    made = definition(version("v1beta1"), version("v1"))
    service = {"namespace": "default", "name": "converter", "path": "/convert"}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"service": service}}
    made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    await api.create(CRDS, made)
    await api.create(TABS, tab())
    assert (await api("GET", f"{TABS}/a")).status == 200
    refused = await api("GET", TABS.replace("/v1/", "/v1beta1/"))
    assert refused.status == 500
    assert "conversion webhook for stable.example.com/v1beta1, Kind=CronTab failed" in refused.message


async def test_deprecated_versions_warn(api: Api) -> None:
    await api.create(CRDS, definition(version("v1alpha1", deprecated=True), version("v1")))
    answer = await api("GET", TABS.replace("/v1/", "/v1alpha1/"))
    assert answer.headers.get("warning") == '299 - "stable.example.com/v1alpha1 CronTab is deprecated"'
    assert "warning" not in (await api("GET", TABS)).headers


async def test_definitions_outlive_the_server() -> None:
    store = MemoryStore()
    for attempt in range(2):
        server = ApiServer(store, authorizer=AllowAll(), authenticators=(Admin(),))
        await server.start()
        api = Api(server, ManualClock())
        if attempt == 0:
            await api.create(CRDS, definition())
            await api.create(TABS, tab())
        assert (await api("GET", f"{TABS}/a")).status == 200
        await server.close()
        await api.transport.close()
    await store.close()


async def test_a_version_shows_only_what_it_knows(api: Api) -> None:
    narrow = version("v1beta1")
    spec = {"type": "object", "properties": {"schedule": {"type": "string"}}}
    narrow["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    await api.create(CRDS, definition(narrow, version("v1")))
    await api.create(TABS, tab(image="x"))
    assert (await api("GET", f"{TABS.replace('/v1/', '/v1beta1/')}/a")).body["spec"] == {"schedule": "* * * * *"}
    assert (await api("GET", f"{TABS}/a")).body["spec"]["image"] == "x"


async def test_a_new_default_shows_in_old_objects(api: Api) -> None:
    made = await api.create(CRDS, definition(version()))
    await api.create(TABS, tab())
    changed = version()
    properties = {**SPEC["properties"], "image": {"type": "string", "default": "busybox"}}
    schema = {"type": "object", "properties": {"spec": {**SPEC, "properties": properties}, "status": STATUS}}
    changed["schema"] = {"openAPIV3Schema": schema}
    await settled(api)
    patch = {"spec": {"versions": [changed]}}
    assert (await api("PATCH", f"{CRDS}/{made['metadata']['name']}", patch, type=MERGE)).status == 200
    assert (await api("GET", f"{TABS}/a")).body["spec"]["image"] == "busybox"


async def test_names_that_are_taken_wait(api: Api) -> None:
    await api.create(CRDS, definition())
    await settled(api)
    await api.create(CRDS, definition(plural="crons", shortNames=["cr"]))
    second = await settled(api, "crons.stable.example.com")
    assert conditions(second) == {"NamesAccepted": "False", "Established": "False"}
    assert '"CronTab" is already in use' in second["status"]["conditions"][0]["message"]
    crons = TABS.replace("crontabs", "crons")
    assert (await api("GET", crons)).status == 404
    await api("DELETE", f"{CRDS}/crontabs.stable.example.com")
    for _ in range(100):
        if (await api("GET", crons)).status == 200:
            break
        await asyncio.sleep(0.01)
    assert (await api("GET", crons)).status == 200


async def test_a_definition_takes_its_objects_along(api: Api) -> None:
    await api.create(CRDS, definition())
    await api.create(TABS, tab())
    held = {**tab("held"), "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await api.create(TABS, held)
    events = await api.watch(TABS)
    assert await events.names(2) == [("ADDED", "a"), ("ADDED", "held")]
    deleted = (await api("DELETE", f"{CRDS}/crontabs.stable.example.com")).body
    assert deleted["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    for _ in range(100):
        if [each["metadata"]["name"] for each in (await api("GET", TABS)).body["items"]] == ["held"]:
            break
        await asyncio.sleep(0.01)
    assert (await api("POST", TABS, tab("late"))).status == 405
    terminating = (await api("GET", f"{CRDS}/crontabs.stable.example.com")).body
    assert conditions(terminating)["Terminating"] == "True"
    await api("PATCH", f"{TABS}/held", {"metadata": {"finalizers": None}}, type=MERGE)
    for _ in range(100):
        if (await api("GET", f"{CRDS}/crontabs.stable.example.com")).status == 404:
            break
        await asyncio.sleep(0.01)
    assert await events.names(3) == [("DELETED", "a"), ("MODIFIED", "held"), ("DELETED", "held")]
    assert await events.ended()
    assert (await api("GET", TABS)).status == 404
    assert (await api("GET", "/apis/stable.example.com")).status == 404


async def test_objects_of_no_served_version_go_too(api: Api) -> None:
    await api.create(CRDS, definition(version()))
    await api.create(TABS, tab())
    await settled(api)
    hidden = {"spec": {"versions": [{**version(), "served": False}]}}
    assert (await api("PATCH", f"{CRDS}/crontabs.stable.example.com", hidden, type=MERGE)).status == 200
    assert (await api("GET", TABS)).status == 404
    await api("DELETE", f"{CRDS}/crontabs.stable.example.com")
    for _ in range(100):
        if (await api("GET", f"{CRDS}/crontabs.stable.example.com")).status == 404:
            break
        await asyncio.sleep(0.01)
    await api.create(CRDS, definition(version()))
    assert (await api("GET", TABS)).body["items"] == []


async def test_an_intent_over_a_custom_resource(api: Api) -> None:
    await api.create(CRDS, definition())
    wish = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", **tab(ports=[{"name": "x", "number": 1}])}
    made = await api("PATCH", f"{TABS}/a", wish, type=APPLY, fieldManager="one")
    assert made.status == 201
    ports = {'k:{"name":"x"}': {".": {}, "f:name": {}, "f:number": {}}}
    assert made.body["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {"f:ports": ports, "f:schedule": {}}}
    other = {**wish, "spec": {"ports": [{"name": "y"}]}}
    both = await api("PATCH", f"{TABS}/a", other, type=APPLY, fieldManager="two")
    assert [each["name"] for each in both.body["spec"]["ports"]] == ["x", "y"]
    refused = await api("PATCH", f"{TABS}/a", {**wish, "spec": {"schedule": "1 * * * *"}}, type=APPLY, fieldManager="two")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "one": .spec.schedule'
    unknown = await api("PATCH", f"{TABS}/a", {**wish, "spec": {"x": 1}}, type=APPLY, fieldManager="two")
    assert ".spec.x: field not declared in schema" in unknown.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metadata": {"name": "x.y.z"}}, 'metadata.name: Invalid value: "x.y.z": must be spec.names.plural+"."+spec.group'),
        ({"spec": {"scope": "Here"}}, "spec.scope: Unsupported value"),
        ({"spec": {"versions": [{**version(), "storage": False}]}}, "must have exactly one version marked as storage version"),
        ({"spec": {"versions": [{**version(), "schema": None}]}}, "schemas are required"),
        (
            {"spec": {"versions": [{**version(), "schema": {"openAPIV3Schema": {"type": "array"}}}]}},
            "must be object at the root",
        ),
    ],
)
async def test_wrong_definitions(api: Api, wrong: Object, message: str) -> None:
    made = definition()
    answer = await api("POST", CRDS, {**made, **{name: {**made[name], **part} for name, part in wrong.items()}})
    assert answer.status == 422
    assert message in answer.message


async def test_rules_that_are_not_checked_are_warned_of(api: Api) -> None:
    ruled = version()
    rule = {"rule": "self.notThere()"}
    spec = {**SPEC, "x-kubernetes-validations": [rule]}
    ruled["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    answer = await api("POST", CRDS, definition(ruled))
    assert answer.status == 201
    assert "x-kubernetes-validations[0].rule: is not checked by this server" in answer.headers.get("warning")
    await api.create(TABS, tab())


def test_kubectl_speaks_of_custom_resources(served: Served) -> None:
    run = served.kubectl
    run("apply", "-f", "-", stdin=json.dumps(definition()))
    run("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=5s")
    assert "How many." in run("explain", "crontab.spec.replicas")
    assert "crontabs   ct" in run("api-resources", "--api-group=stable.example.com")
    wish = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", **tab(image="x")}
    assert run("apply", "-f", "-", stdin=json.dumps(wish)) == "crontab.stable.example.com/a created\n"
    lines = run("get", "ct").splitlines()
    assert (lines[0].split(), lines[1].split()[-2]) == (["NAME", "SCHEDULE", "REPLICAS", "AGE"], "1")
    assert run("get", "all", "-o", "name").splitlines()[-1] == "crontab.stable.example.com/a"
    wish["spec"]["image"] = "y"
    assert run("apply", "-f", "-", stdin=json.dumps(wish)) == "crontab.stable.example.com/a configured\n"
    run("apply", "--server-side", "-f", "-", stdin=json.dumps(wish))
    run("scale", "ct/a", "--replicas=4")
    assert run("get", "ct", "--field-selector=spec.image=y", "-o", "jsonpath={.items[*].spec.replicas}") == "4"
    assert "Schedule:  * * * * *" in run("describe", "ct", "a")
    run("delete", "crd", "crontabs.stable.example.com", "--timeout=5s")
    assert "NotFound" in served.run("get", "ct").stderr


def test_the_python_client_defines_and_uses_a_kind(served: Served) -> None:
    with config.new_client_from_config(str(served.kubeconfig)) as connection:
        definitions = client.ApiextensionsV1Api(connection)
        definitions.create_custom_resource_definition(definition(version(), plural="pythons", kind="Python", shortNames=[]))
        api = client.CustomObjectsApi(connection)
        where = ("stable.example.com", "v1", "default", "pythons")
        body = {"apiVersion": "stable.example.com/v1", "kind": "Python", **tab()}
        assert api.create_namespaced_custom_object(*where, body)["spec"]["replicas"] == 1
        api.patch_namespaced_custom_object(*where, "a", {"spec": {"replicas": 2}})
        assert [each["spec"]["replicas"] for each in api.list_namespaced_custom_object(*where)["items"]] == [2]
        api.delete_namespaced_custom_object(*where, "a")
        definitions.delete_custom_resource_definition("pythons.stable.example.com")
