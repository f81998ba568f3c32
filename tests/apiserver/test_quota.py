"""Resource quotas: what counts, what is refused, what comes back, and that nobody gets in beside the others."""

import asyncio
from typing import Any

import pytest

from podling.api.quota import in_scope, usage
from podling.testing.apiserver import CONFIG_MAPS, PODS, Api, Served

Object = dict[str, Any]
QUOTAS = "/api/v1/namespaces/default/resourcequotas"


def quota(hard: Object, **spec: Any) -> Object:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}}


async def used(api: Api) -> Object:
    await api.clock.advance(1)
    found: Object = (await api("GET", f"{QUOTAS}/q")).body["status"]["used"]
    return found


def named(pod: Object, name: str) -> Object:
    return {**pod, "metadata": {"name": name}}


async def test_the_life_of_a_pod(api: Api, pod: Object) -> None:
    await api.create(QUOTAS, quota({"pods": "2", "count/configmaps": "9"}))
    assert await used(api) == {"pods": "0", "count/configmaps": "0"}
    for name in ("a", "b"):
        await api.create(PODS, named(pod, name))
    refused = await api("POST", PODS, named(pod, "c"))
    assert refused.status == 403
    assert refused.message == 'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'
    await api("DELETE", f"{PODS}/a", gracePeriodSeconds="0")
    assert await used(api) == {"pods": "1", "count/configmaps": "0"}
    ended = {"status": {"phase": "Succeeded"}}
    await api("PATCH", f"{PODS}/b/status", ended, type="application/merge-patch+json")
    assert (await used(api))["pods"] == "0"


async def test_no_more_get_in_at_once_than_there_is_room_for(api: Api, pod: Object) -> None:
    await api.create(QUOTAS, quota({"pods": "5"}))
    await api.create(QUOTAS, {**quota({"pods": "7"}), "metadata": {"name": "wider"}})
    answers = await asyncio.gather(*(api("POST", PODS, named(pod, f"p{n}")) for n in range(20)))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [403] * 15
    assert (await api("GET", f"{QUOTAS}/q")).body["status"]["used"] == {"pods": "5"}
    assert (await used(api))["pods"] == "5"
    assert (await api("GET", f"{QUOTAS}/wider")).body["status"]["used"] == {"pods": "5"}


async def test_what_was_not_written_takes_nothing(api: Api) -> None:
    await api.create(QUOTAS, quota({"configmaps": "3"}))
    one = {"metadata": {"name": "one"}}
    assert (await api("POST", CONFIG_MAPS, one, dryRun="All")).status == 201
    assert (await used(api))["configmaps"] == "0"
    await api.create(CONFIG_MAPS, one)
    assert (await api("POST", CONFIG_MAPS, one)).status == 409
    assert (await used(api))["configmaps"] == "1"


async def test_a_changed_quota_counts_anew(api: Api) -> None:
    await api.create(CONFIG_MAPS, {"metadata": {"name": "one"}})
    await api.create(QUOTAS, quota({"secrets": "3"}))
    patch = {"spec": {"hard": {"configmaps": "1"}}}
    await api("PATCH", f"{QUOTAS}/q", patch, type="application/merge-patch+json")
    assert await used(api) == {"secrets": "0", "configmaps": "1"}
    assert (await api("POST", CONFIG_MAPS, {"metadata": {"name": "two"}})).status == 403


async def test_a_quota_of_compute_asks_for_numbers(api: Api, pod: Object) -> None:
    await api.create(QUOTAS, quota({"requests.cpu": "1", "limits.memory": "1Gi"}))
    refused = await api("POST", PODS, pod)
    assert refused.message == (
        'pods "p" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main'
    )
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "600m"}, "limits": {"memory": "512Mi"}}
    await api.create(PODS, pod)
    refused = await api("POST", PODS, named(pod, "r"))
    assert refused.message.endswith(
        "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    )


async def test_a_service_that_becomes_a_node_port_is_charged(api: Api) -> None:
    services = "/api/v1/namespaces/default/services"
    await api.create(QUOTAS, quota({"services.nodeports": "1"}))
    for name in ("a", "b"):
        await api.create(services, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
    node_port = {"spec": {"type": "NodePort"}}
    assert (await api("PATCH", f"{services}/a", node_port, type="application/merge-patch+json")).status == 200
    refused = await api("PATCH", f"{services}/b", node_port, type="application/merge-patch+json")
    assert (refused.status, refused.message.partition("exceeded")[1]) == (403, "exceeded")


BUSY = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}], "priorityClassName": "high"}}
IDLE = {"spec": {"containers": [{"name": "c"}], "activeDeadlineSeconds": 5}}


@pytest.mark.parametrize(
    ("scope", "busy", "idle"),
    [
        ("Terminating", False, True),
        ("NotTerminating", True, False),
        ("BestEffort", False, True),
        ("NotBestEffort", True, False),
        ("PriorityClass", True, False),
        ("CrossNamespacePodAffinity", False, False),
    ],
)
def test_scopes(scope: str, busy: bool, idle: bool) -> None:
    found = quota({"pods": "1"}, scopes=[scope])
    assert in_scope(("", "pods"), BUSY, found) is busy
    assert in_scope(("", "pods"), IDLE, found) is idle
    assert not in_scope(("", "services"), {}, found)


def test_what_a_claim_takes() -> None:
    claim = {"metadata": {}, "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}}
    taken = {name: str(amount) for name, amount in usage(("", "persistentvolumeclaims"), claim).items()}
    assert taken == {
        "persistentvolumeclaims": "1",
        "count/persistentvolumeclaims": "1",
        "requests.storage": "2Gi",
        "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
    }


def test_kubectl_describes_a_quota(served: Served) -> None:
    served.kubectl("create", "namespace", "tight")
    served.kubectl("create", "quota", "q", "--hard=configmaps=1", "-n", "tight")
    served.kubectl("create", "configmap", "one", "-n", "tight")
    refused = served.run("create", "configmap", "two", "-n", "tight")
    assert "exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1" in refused.stderr
    assert "configmaps  1     1" in served.kubectl("describe", "quota", "q", "-n", "tight")
