"""EndpointSlices and Endpoints from Services and pods, as tables."""

from typing import Any

import pytest

from podling.api.objects import Object
from podling.client.resource import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from podling.controllers.endpoints import slices, subsets
from podling.controllers.plan import Create, Delete, Patch, Plan
from podling.controllers.view import View


def service(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    base = {"selector": {"app": "web"}, "clusterIP": "10.0.0.1", "ports": ports, "ipFamilies": ["IPv4"]}
    metadata = {"name": "web", "namespace": "ns", "uid": "s", "labels": {"team": "a"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**base, **spec}}


def pod(
    number: int, *, ready: bool = True, deleting: bool = False, port: int = 8080, phase: str = "Running", **spec: Any
) -> Object:
    metadata: Object = {"name": f"p{number}", "namespace": "ns", "uid": f"u{number}", "labels": {"app": "web"}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    containers = [{"name": "main", "ports": [{"name": "web", "containerPort": port}]}]
    status = {
        "phase": phase,
        "podIP": f"10.1.{number // 250}.{number % 250}",
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    return {"metadata": metadata, "spec": {"containers": containers, "nodeName": "n1", **spec}, "status": status}


def plan(owner: Object, pods: list[Object], existing: list[Object] | None = None) -> Plan:
    node = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}}
    view = View.of({SERVICES: [owner], PODS: pods, NODES: [node], ENDPOINT_SLICES: existing or []})
    return slices.reconcile(owner, view, 0.0)


def made(owner: Object, pods: list[Object]) -> list[Object]:
    result = []
    for number, action in enumerate(plan(owner, pods).actions):
        assert isinstance(action, Create)
        metadata = {**action.object["metadata"], "name": f"web-{number}", "uid": f"slice-{number}"}
        result.append({**action.object, "metadata": metadata})
    return result


@pytest.mark.parametrize(
    ("given", "publish", "conditions"),
    [
        ({}, False, (True, True, False)),
        ({"ready": False}, False, (False, False, False)),
        ({"ready": False}, True, (True, False, False)),
        ({"deleting": True}, False, (False, True, True)),
        ({"deleting": True}, True, (True, True, True)),
    ],
)
def test_conditions(given: Object, publish: bool, conditions: tuple[bool, bool, bool]) -> None:
    (one,) = made(service(publishNotReadyAddresses=publish), [pod(1, **given)])
    (end,) = one["endpoints"]
    assert tuple(end["conditions"][name] for name in ("ready", "serving", "terminating")) == conditions
    assert (end["nodeName"], end["zone"], end["targetRef"]["name"]) == ("n1", "z1", "p1")


def test_labels_let_others_find_and_tell_them() -> None:
    (one,) = made(service(clusterIP="None"), [pod(1)])
    assert one["metadata"]["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }


def test_pods_whose_named_port_differs_stand_in_slices_of_their_own() -> None:
    found = made(service(), [pod(1), pod(2), pod(3, port=9090)])
    assert sorted((one["ports"][0]["port"], len(one["endpoints"])) for one in found) == [(8080, 2), (9090, 1)]


def test_finished_pods_and_those_without_address_are_left_out() -> None:
    silent = pod(2)
    del silent["status"]["podIP"]
    (one,) = made(service(), [pod(1, phase="Succeeded"), silent])
    assert one["endpoints"] == []


def test_a_hostname_for_pods_that_name_the_service_as_their_subdomain() -> None:
    (one,) = made(service(clusterIP="None"), [pod(1, hostname="first", subdomain="web"), pod(2, hostname="other")])
    assert [end.get("hostname") for end in one["endpoints"]] == ["first", None]


def test_a_hundred_to_a_slice() -> None:
    found = made(service(), [pod(number) for number in range(250)])
    assert sorted(len(one["endpoints"]) for one in found) == [50, 100, 100]


def test_a_change_touches_only_the_slice_it_is_in() -> None:
    pods = [pod(number) for number in range(150)]
    existing = made(service(), pods)
    assert list(plan(service(), pods, existing).actions) == []
    gone = pods.pop(0)
    (action,) = plan(service(), pods, existing).actions
    assert isinstance(action, Patch)
    assert action.object["endpoints"][0]["targetRef"]["name"] == gone["metadata"]["name"]
    (action,) = plan(service(), [*pods, pod(500)], existing).actions
    assert isinstance(action, Patch)
    assert len(action.patch["endpoints"]) == 100


def test_emptied_slices_go_but_one_stays() -> None:
    pods = [pod(number) for number in range(150)]
    existing = made(service(), pods)
    actions = plan(service(), [], existing).actions
    assert sorted(type(action).__name__ for action in actions) == ["Delete", "Patch"]
    assert isinstance(actions[0], Delete | Patch)


@pytest.mark.parametrize("spec", [{"selector": None}, {"type": "ExternalName"}])
def test_services_that_select_nothing_are_left_to_others(spec: Object) -> None:
    assert list(plan(service(**spec), [pod(1)]).actions) == []


def test_endpoints_keep_ready_and_unready_apart_without_terminating_ones() -> None:
    pods = [pod(2), pod(1), pod(3, ready=False), pod(4, deleting=True)]
    view = View.of({SERVICES: [service()], PODS: pods, ENDPOINTS: []})
    (action,) = subsets.reconcile(service(), view, 0.0).actions
    assert isinstance(action, Create)
    (subset,) = action.object["subsets"]
    assert [address["ip"] for address in subset["addresses"]] == ["10.1.0.1", "10.1.0.2"]
    assert [address["ip"] for address in subset["notReadyAddresses"]] == ["10.1.0.3"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    view = View.of({SERVICES: [service()], PODS: pods, ENDPOINTS: [action.object]})
    assert list(subsets.reconcile(service(), view, 9.0).actions) == []
