"""Create and update: what the server fills in, and what it refuses."""

import asyncio
from typing import Any

import pytest

from podling.testing.apiserver import CONFIG_MAPS, PODS, Api

Object = dict[str, Any]


def config_map(name: str = "c", **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "1"}}


async def test_a_created_object_has_an_identity(api: Api) -> None:
    created = await api.create(CONFIG_MAPS, config_map(uid="mine", creationTimestamp="1999-01-01T00:00:00Z"))
    metadata = created["metadata"]
    assert metadata["namespace"] == "default"
    assert metadata["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) > 0
    assert (await api("GET", f"{CONFIG_MAPS}/c")).body == created


async def test_generated_names(api: Api) -> None:
    bodies = [await api.create(CONFIG_MAPS, {"metadata": {"generateName": "x-"}}) for _ in range(3)]
    names = {body["metadata"]["name"] for body in bodies}
    assert len(names) == 3
    assert all(name.startswith("x-") and len(name) == 7 for name in names)
    long = await api.create(CONFIG_MAPS, {"metadata": {"generateName": "y" * 80}})
    assert len(long["metadata"]["name"]) == 63


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"metadata": {}}, 422, 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'),
        (
            config_map(namespace="other"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            config_map() | {"apiVersion": "v2"},
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (config_map(resourceVersion="3"), 500, "resourceVersion should not be set on objects to be created"),
        (
            config_map() | {"data": {"a": 1}},
            400,
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field '
            "ConfigMap.data.a of type string",
        ),
    ],
)
async def test_refused_creates(api: Api, body: Object, code: int, message: str) -> None:
    answer = await api("POST", CONFIG_MAPS, body)
    assert (answer.status, answer.message) == (code, message)
    assert (answer.body["kind"], answer.body["status"], answer.body["code"]) == ("Status", "Failure", code)


async def test_a_name_is_taken_once(api: Api) -> None:
    outcomes = await asyncio.gather(*(api("POST", CONFIG_MAPS, config_map()) for _ in range(5)))
    assert sorted(outcome.status for outcome in outcomes) == [201, 409, 409, 409, 409]
    refused = next(outcome.body for outcome in outcomes if outcome.status == 409)
    assert refused["reason"] == "AlreadyExists"
    assert refused["message"] == 'configmaps "c" already exists'
    assert refused["details"] == {"name": "c", "kind": "configmaps"}


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api) -> None:
    answer = await api("POST", "/api/v1/namespaces/nowhere/configmaps", config_map())
    assert (answer.status, answer.message) == (404, 'namespaces "nowhere" not found')


async def test_unknown_fields_by_strictness(api: Api) -> None:
    body = config_map() | {"dota": {}}
    strict = await api("POST", CONFIG_MAPS, body, fieldValidation="Strict", dryRun="All")
    assert strict.message == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dota"'
    )
    warned = await api("POST", CONFIG_MAPS, body, dryRun="All")
    assert warned.headers.get("warning") == '299 - "unknown field \\"dota\\""'
    assert "dota" not in warned.body
    ignored = await api("POST", CONFIG_MAPS, body, fieldValidation="Ignore", dryRun="All")
    assert "warning" not in ignored.headers
    assert (await api("POST", CONFIG_MAPS, body, fieldValidation="Maybe")).status == 400


async def test_a_dry_run_answers_and_writes_nothing(api: Api) -> None:
    made = await api("POST", CONFIG_MAPS, config_map(), dryRun="All")
    assert (made.status, made.body["metadata"]["name"]) == (201, "c")
    assert (await api("GET", f"{CONFIG_MAPS}/c")).status == 404
    await api.create(CONFIG_MAPS, config_map())
    assert (await api("POST", CONFIG_MAPS, config_map(), dryRun="All")).status == 409
    changed = await api("PUT", f"{CONFIG_MAPS}/c", config_map() | {"data": {"a": "2"}}, dryRun="All")
    assert changed.body["data"] == {"a": "2"}
    assert (await api("DELETE", f"{CONFIG_MAPS}/c", dryRun="All")).status == 200
    assert (await api("GET", f"{CONFIG_MAPS}/c")).body["data"] == {"a": "1"}
    assert (await api("POST", CONFIG_MAPS, config_map(), dryRun="Some")).status == 400


async def test_an_update_that_saw_another_state_is_refused(api: Api) -> None:
    created = await api.create(CONFIG_MAPS, config_map())
    first = await api("PUT", f"{CONFIG_MAPS}/c", {**created, "data": {"a": "2"}})
    assert first.status == 200
    second = await api("PUT", f"{CONFIG_MAPS}/c", {**created, "data": {"a": "3"}})
    assert (second.status, second.body["reason"]) == (409, "Conflict")
    assert second.message == (
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest '
        "version and try again"
    )
    blind = await api("PUT", f"{CONFIG_MAPS}/c", config_map() | {"data": {"a": "4"}})
    assert blind.body["data"] == {"a": "4"}
    assert blind.body["metadata"]["uid"] == created["metadata"]["uid"]


async def test_an_update_that_changes_nothing_writes_nothing(api: Api) -> None:
    created = await api.create(CONFIG_MAPS, config_map())
    again = await api("PUT", f"{CONFIG_MAPS}/c", created)
    assert again.body["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (config_map("d"), 400, "the name of the object (d) does not match the name on the URL (c)"),
        (config_map(uid="x"), 409, None),
    ],
)
async def test_refused_updates(api: Api, body: Object, code: int, message: str | None) -> None:
    await api.create(CONFIG_MAPS, config_map())
    answer = await api("PUT", f"{CONFIG_MAPS}/c", body)
    assert answer.status == code
    assert message in (None, answer.message)
    assert (await api("PUT", f"{CONFIG_MAPS}/missing", config_map("missing"))).status == 404


async def test_status_and_spec_are_written_apart(api: Api, pod: Object) -> None:
    created = await api.create(PODS, {**pod, "status": {"phase": "Running"}})
    assert created["status"]["phase"] == "Pending"
    running = await api("PUT", f"{PODS}/p/status", {**created, "spec": {"containers": []}, "status": {"phase": "Running"}})
    assert running.body["status"]["phase"] == "Running"
    assert running.body["spec"] == created["spec"]
    labelled = {**created, "metadata": {**pod["metadata"], "labels": {"a": "b"}}, "status": {"phase": "Failed"}}
    kept = await api("PUT", f"{PODS}/p", labelled)
    assert kept.body["status"]["phase"] == "Running"
    assert kept.body["metadata"]["labels"] == {"a": "b"}
    assert (await api("GET", f"{PODS}/p/status")).body == kept.body


async def test_many_blind_writers_all_succeed(api: Api) -> None:
    await api.create(CONFIG_MAPS, config_map())
    patches = (api("PATCH", f"{CONFIG_MAPS}/c", {"data": {str(n): "x"}}, type="application/merge-patch+json") for n in range(10))
    assert {answer.status for answer in await asyncio.gather(*patches)} == {200}
    assert len((await api("GET", f"{CONFIG_MAPS}/c")).body["data"]) == 11
    puts = (api("PUT", f"{CONFIG_MAPS}/c", config_map() | {"data": {str(n): "x"}}) for n in range(10))
    assert {answer.status for answer in await asyncio.gather(*puts)} == {200}


async def test_an_update_makes_what_is_not_there_for_some_kinds(api: Api) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    made = await api("PUT", f"{leases}/l", lease)
    assert (made.status, made.body["spec"]) == (201, {"holderIdentity": "me"})
    blind = await api("PUT", f"{leases}/l", {**lease, "spec": {"holderIdentity": "you"}})
    assert (blind.status, blind.message) == (
        422,
        'Lease.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    )
    assert (await api("PUT", f"{leases}/l", {**made.body, "spec": {"holderIdentity": "you"}})).status == 200
    old = {"metadata": {"name": "m", "resourceVersion": "1"}}
    assert (await api("PUT", f"{leases}/m", old)).status == 404


async def test_a_new_node_is_tainted_until_it_is_ready(api: Api) -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert (await api.create("/api/v1/nodes", {"metadata": {"name": "n"}}))["spec"]["taints"] == [taint]
    ready = {"metadata": {"name": "r"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert "taints" not in (await api.create("/api/v1/nodes", ready)).get("spec", {})


async def test_priorities_come_from_classes(api: Api, pod: Object) -> None:
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    assert (await api.create(PODS, pod))["spec"]["priority"] == 0
    for name, value, everybody in (("low", 5, True), ("high", 9, True), ("mine", 7, False)):
        body = {"metadata": {"name": name}, "value": value, "globalDefault": everybody, "preemptionPolicy": "Never"}
        await api.create(classes, body)
    spec = (await api.create(PODS, {**pod, "metadata": {"name": "q"}}))["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == ("low", 5, "Never")
    wrong = {**pod, "metadata": {"name": "w"}, "spec": {**pod["spec"], "priorityClassName": "mine", "priority": 1}}
    refused = await api("POST", PODS, wrong)
    assert refused.status == 403
    assert "the integer value of priority (1) must not be provided in pod spec" in refused.message
