"""Every kind through the server: created, read, listed, shown as a table, patched, deleted; in each of its versions."""

from typing import Any

import pytest

from podling.api.kind import Kind
from podling.api.registry import KINDS
from podling.testing.apiserver import Api
from podling.testing.kinds import KEPT, sample

MERGE = "application/merge-patch+json"
every_kind = pytest.mark.parametrize("kind", KEPT, ids=lambda kind: f"{kind.api_version} {kind.kind}")


def path(kind: Kind, name: str = "") -> str:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    space = "/namespaces/default" if kind.namespaced else ""
    return f"{root}{space}/{kind.plural}" + (f"/{name}" if name else "")


@every_kind
async def test_a_life(api: Api, kind: Kind) -> None:
    obj = sample(kind)
    name = obj["metadata"]["name"]
    made = await api.create(path(kind), obj)
    assert (made["apiVersion"], made["kind"], made["metadata"]["name"]) == (kind.api_version, kind.kind, name)
    assert (await api("GET", path(kind, name))).body == made
    listed = (await api("GET", path(kind))).body
    assert listed["kind"] == kind.list_kind
    assert [each["metadata"]["name"] for each in listed["items"] if each["metadata"]["name"] == name] == [name]
    labelled = await api("PATCH", path(kind, name), {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    assert labelled.status == 200, labelled.body
    assert labelled.body["metadata"]["labels"]["a"] == "b"
    if kind.has_status:
        again = await api("PUT", f"{path(kind, name)}/status", labelled.body)
        assert again.status == 200, again.body
    gone = await api("DELETE", path(kind, name), {"gracePeriodSeconds": 0})
    assert gone.status in (200, 202), gone.body


async def test_versions_show_one_object(api: Api) -> None:
    kinds = {kind.api_version: kind for kind in KINDS if kind.kind == "ResourceClaim"}
    made = await api.create(path(kinds["resource.k8s.io/v1beta1"]), sample(kinds["resource.k8s.io/v1beta1"]))
    (asked,) = made["spec"]["devices"]["requests"]
    assert asked == {"name": "gpu", "deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1}
    stable = (await api("GET", path(kinds["resource.k8s.io/v1"], "sample"))).body
    (asked,) = stable["spec"]["devices"]["requests"]
    assert asked == {
        "name": "gpu",
        "exactly": {"deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1},
    }
    assert stable["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_job_selects_its_own_pods(api: Api) -> None:
    (kind,) = (kind for kind in KINDS if kind.kind == "Job")
    made = await api.create(path(kind), sample(kind))
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "sample",
        "controller-uid": uid,
        "job-name": "sample",
    }


REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


async def a_request(api: Api) -> dict[str, Any]:
    (kind,) = (kind for kind in KINDS if kind.kind == "CertificateSigningRequest")
    return await api.create(REQUESTS, sample(kind))


async def test_a_signing_request_is_approved_by_its_subresource(api: Api) -> None:
    made = await a_request(api)
    approved = {"type": "Approved", "status": "True", "reason": "Why", "message": "not"}
    wish = {**made, "status": {"conditions": [approved], "certificate": "eA=="}}
    status = await api("PUT", f"{REQUESTS}/sample/status", {**made, "status": {"conditions": [approved]}})
    assert status.message.endswith('status.conditions: Forbidden: updates may not add a condition of type "Approved"')
    done = await api("PUT", f"{REQUESTS}/sample/approval", wish)
    assert done.status == 200, done.body
    (condition,) = done.body["status"]["conditions"]
    assert condition == {**approved, "lastUpdateTime": "2023-11-14T22:13:20Z", "lastTransitionTime": "2023-11-14T22:13:20Z"}
    assert "certificate" not in done.body["status"]
    withdrawn = await api("PATCH", f"{REQUESTS}/sample/approval", {"status": {"conditions": []}}, type=MERGE)
    assert withdrawn.message.endswith('status.conditions: Forbidden: updates may not remove a condition of type "Approved"')


async def test_a_signing_request_itself_never_changes(api: Api) -> None:
    made = await a_request(api)
    other = {**made, "spec": {**made["spec"], "signerName": "example.com/other"}}
    assert (await api("PUT", f"{REQUESTS}/sample", other)).body["spec"] == made["spec"]


async def test_a_jobs_pods_outlive_it_unless_the_client_says_otherwise(api: Api) -> None:
    (kind,) = (kind for kind in KINDS if kind.kind == "Job")
    await api.create(path(kind), sample(kind))
    assert (await api("DELETE", path(kind, "sample"))).status == 200
    assert (await api("GET", path(kind, "sample"))).body["metadata"]["finalizers"] == ["orphan"]
    await api.create(path(kind), sample(kind, "other"))
    assert (await api("DELETE", path(kind, "other"), {"propagationPolicy": "Background"})).status == 200
    assert (await api("GET", path(kind, "other"))).status == 404


async def test_old_versions_are_warned_of(api: Api) -> None:
    answer = await api("GET", "/apis/resource.k8s.io/v1beta1/deviceclasses")
    assert answer.headers.get("warning") == (
        '299 - "resource.k8s.io/v1beta1 DeviceClass is deprecated in v1.35+, unavailable in v1.38+"'
    )
