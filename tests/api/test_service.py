import pytest

from podling.api.core.service import SERVICE
from podling.api.table import table
from podling.testing.samples import changed, created, refusals, stored


def service(**spec):
    whole = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": whole}


def test_defaults():
    new = created(SERVICE, service())
    assert new["spec"] == {
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }
    assert new["status"] == {"loadBalancer": {}}


def test_defaults_of_a_type():
    assert created(SERVICE, service(type="NodePort"))["spec"]["externalTrafficPolicy"] == "Cluster"
    assert created(SERVICE, service(type="LoadBalancer"))["spec"]["allocateLoadBalancerNodePorts"] is True
    sticky = created(SERVICE, service(sessionAffinity="ClientIP"))["spec"]
    assert sticky["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (service(ports=[]), "spec.ports: Required value"),
        (service(ports=[{"port": 80}, {"port": 81}]), "spec.ports[0].name: Required value"),
        (service(ports=[{"port": 0}]), "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        (
            service(ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
            'spec.ports[1].name: Duplicate value: "a"',
        ),
        (
            service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 80}]),
            'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}',
        ),
        (
            service(ports=[{"port": 80, "nodePort": 30000}]),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service(type="Both"),
            'spec.type: Unsupported value: "Both": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
        ),
        (service(type="ExternalName"), "spec.externalName: Required value"),
        (
            service(type="NodePort", clusterIP="None"),
            "spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 0}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
        ),
        (
            service(externalIPs=["x"]),
            'spec.externalIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (
            service(ports=[{"port": 80, "targetPort": "Not_A_Port"}]),
            'spec.ports[0].targetPort: Invalid value: "Not_A_Port": must contain only alpha-numeric characters (a-z, 0-9), '
            "and hyphens (-)",
        ),
    ],
)
def test_a_bad_service_is_refused_in_upstreams_words(obj, message):
    assert message in refusals(SERVICE, obj)


def test_a_name_begins_with_a_letter():
    obj = service()
    obj["metadata"]["name"] = "1web"
    assert refusals(SERVICE, obj)[0].startswith('metadata.name: Invalid value: "1web": a DNS-1035 label must consist')


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "ports": []},
        {"type": "ExternalName", "externalName": "example.com.", "ports": []},
        {"ports": [{"name": "dns", "port": 53}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]},
        {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080}]},
    ],
)
def test_services_of_all_sorts_are_accepted(spec):
    assert refusals(SERVICE, service(**spec)) == []


def given(obj, **spec):
    old = stored(SERVICE, obj)
    old["spec"] |= {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], **spec}
    return old


def test_an_address_stays_when_it_is_left_out_and_may_not_change():
    old = given(service())
    new, wrong = changed(SERVICE, old, lambda obj: obj["spec"].pop("clusterIP"))
    assert wrong == []
    assert new["spec"]["clusterIP"] == "10.96.0.9"
    _, wrong = changed(SERVICE, old, lambda obj: obj["spec"].update(clusterIP="10.96.0.10"))
    assert wrong == ['spec.clusterIPs[0]: Invalid value: "10.96.0.10": may not change once set']


def test_node_ports_stay_and_go_with_the_type():
    old = given(service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    kept, wrong = changed(SERVICE, old, lambda obj: obj["spec"].update(ports=[{"port": 80}]))
    assert (wrong, kept["spec"]["ports"][0]["nodePort"]) == ([], 30080)
    plain, wrong = changed(SERVICE, old, lambda obj: obj["spec"].update(type="ClusterIP"))
    assert (wrong, "nodePort" in plain["spec"]["ports"][0]) == ([], False)
    assert "externalTrafficPolicy" not in plain["spec"]


@pytest.mark.parametrize(
    ("spec", "status", "cells"),
    [
        ({}, {}, ["web", "ClusterIP", "<none>", "<none>", "80/TCP"]),
        ({"clusterIP": "10.96.0.9"}, {}, ["web", "ClusterIP", "10.96.0.9", "<none>", "80/TCP"]),
        ({"clusterIP": "None", "ports": []}, {}, ["web", "ClusterIP", "None", "<none>", "<none>"]),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]},
            {},
            ["web", "NodePort", "<none>", "<none>", "80:30080/TCP,53/UDP"],
        ),
        ({"type": "LoadBalancer"}, {}, ["web", "LoadBalancer", "<none>", "<pending>", "80/TCP"]),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}},
            ["web", "LoadBalancer", "<none>", "1.2.3.4", "80/TCP"],
        ),
        (
            {"type": "ExternalName", "externalName": "a.b", "ports": []},
            {},
            ["web", "ExternalName", "<none>", "a.b", "<none>"],
        ),
    ],
)
def test_columns(spec, status, cells):
    obj = stored(SERVICE, service(**spec)) | {"status": status}
    shown = table(SERVICE, [obj], 1_767_225_600.0)["rows"][0]["cells"]
    assert shown[:5] == cells
    assert shown[6] == "app=web"
