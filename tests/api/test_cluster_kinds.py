"""Quotas and limits, autoscaling, disruption, networking, runtime classes: what is filled in, refused and shown."""

import pytest

from podling.api.autoscaling.horizontalpodautoscaler import HORIZONTAL_POD_AUTOSCALER, HORIZONTAL_POD_AUTOSCALER_V1
from podling.api.coordination.leasecandidate import LEASE_CANDIDATE
from podling.api.core.componentstatus import COMPONENT_STATUS
from podling.api.core.limitrange import LIMIT_RANGE
from podling.api.core.podtemplate import POD_TEMPLATE
from podling.api.core.resourcequota import RESOURCE_QUOTA
from podling.api.networking.ingress import INGRESS
from podling.api.networking.ingressclass import INGRESS_CLASS
from podling.api.networking.ipaddress import IP_ADDRESS
from podling.api.networking.networkpolicy import NETWORK_POLICY
from podling.api.networking.servicecidr import SERVICE_CIDR
from podling.api.node.runtimeclass import RUNTIME_CLASS
from podling.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET
from podling.api.table import table
from podling.testing.kinds import sample
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30


def having(kind, **members):
    """A sample with some members of its spec, or of itself where it has none, set otherwise."""
    obj = sample(kind)
    if "spec" not in obj:
        return {**obj, **members}
    return {**obj, "spec": {**obj["spec"], **members}}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def limit(kind, **bounds):
    return {"limits": [{"type": kind, **bounds}]}


def backend(**service):
    return {"defaultBackend": {"service": service}}


def path(**members):
    return {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "a", "port": {"number": 1}}}, **members}]}}]}


def ports(**port):
    return {"ingress": [{"ports": [port]}]}


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        (
            RESOURCE_QUOTA,
            {"hard": {"storage": "1"}},
            'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
        ),
        (RESOURCE_QUOTA, {"hard": {"pods": "1.5"}}, 'spec.hard[pods]: Invalid value: "1.5": must be an integer'),
        (RESOURCE_QUOTA, {"hard": {"cpu": "-1"}}, 'spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'),
        (RESOURCE_QUOTA, {"scopes": ["Often"]}, 'spec.scopes: Invalid value: ["Often"]: unsupported scope'),
        (
            RESOURCE_QUOTA,
            {"scopes": ["BestEffort", "NotBestEffort"]},
            'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
        ),
        (
            RESOURCE_QUOTA,
            {"hard": {"cpu": "1"}, "scopes": ["BestEffort"]},
            'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource',
        ),
        (
            RESOURCE_QUOTA,
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}},
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or "
            "'NotIn' for scope selector",
        ),
        (
            LIMIT_RANGE,
            limit("Container", min={"cpu": "2"}, max={"cpu": "1"}),
            'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
        ),
        (
            LIMIT_RANGE,
            limit("Pod", default={"cpu": "1"}),
            "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        (
            LIMIT_RANGE,
            limit("Node"),
            'spec.limits[0].type: Invalid value: "Node": must be a standard limit type or fully qualified',
        ),
        (
            LIMIT_RANGE,
            limit("PersistentVolumeClaim"),
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but "
            "neither was provided",
        ),
        (
            LIMIT_RANGE,
            limit("Pod", min={"cpu": "1"}, max={"cpu": "2"}, maxLimitRequestRatio={"cpu": "3"}),
            'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000',
        ),
        (HORIZONTAL_POD_AUTOSCALER, {"maxReplicas": None}, "spec.maxReplicas: Required value: must be set and greater than 0"),
        (
            HORIZONTAL_POD_AUTOSCALER,
            {"minReplicas": 5},
            "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
        ),
        (HORIZONTAL_POD_AUTOSCALER, {"scaleTargetRef": {"kind": "Deployment"}}, "spec.scaleTargetRef.name: Required value"),
        (
            HORIZONTAL_POD_AUTOSCALER,
            {"metrics": [{"type": "Pods"}]},
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
        ),
        (
            HORIZONTAL_POD_AUTOSCALER,
            {
                "metrics": [
                    {**CPU, "type": "Pods", "pods": {"metric": {"name": "a"}, "target": {"type": "Value", "averageValue": "1"}}}
                ]
            },
            "spec.metrics[0].resource: Forbidden: must populate the given metric source only",
        ),
        (
            HORIZONTAL_POD_AUTOSCALER,
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}},
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
        ),
        (
            HORIZONTAL_POD_AUTOSCALER_V1,
            {"targetCPUUtilizationPercentage": 0},
            "spec.targetCPUUtilizationPercentage: Invalid value: 0: must be greater than 0",
        ),
        (
            POD_DISRUPTION_BUDGET,
            {"minAvailable": "101%"},
            'spec.minAvailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            POD_DISRUPTION_BUDGET,
            {"unhealthyPodEvictionPolicy": "Never"},
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
        ),
        (
            INGRESS,
            {"defaultBackend": None},
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
        ),
        (INGRESS, backend(name="web"), "spec.defaultBackend: Required value: port name or number is required"),
        (INGRESS, backend(port={"number": 1}), "spec.defaultBackend.service.name: Required value"),
        (INGRESS, {"defaultBackend": {}}, 'spec.defaultBackend: Invalid value: "": resource or service backend is required'),
        (INGRESS, path(path="/"), "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"),
        (
            INGRESS,
            path(path="a", pathType="Prefix"),
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
        ),
        (
            INGRESS,
            path(path="/a//b", pathType="Exact"),
            "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'",
        ),
        (
            INGRESS,
            {"rules": [{"host": "10.0.0.1"}]},
            'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
        ),
        (
            INGRESS_CLASS,
            {"controller": "a"},
            'spec.controller: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        (
            INGRESS_CLASS,
            {"parameters": {"kind": "K", "name": "n", "scope": "Namespace"}},
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ),
        (
            NETWORK_POLICY,
            ports(port=80, endPort=70),
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
        ),
        (
            NETWORK_POLICY,
            ports(endPort=70),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is not specified",
        ),
        (NETWORK_POLICY, {"egress": [{"to": [{}]}]}, "spec.egress[0].to[0]: Required value: must specify a peer"),
        (
            NETWORK_POLICY,
            {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}]},
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
        ),
        (
            NETWORK_POLICY,
            {"policyTypes": ["All"]},
            'spec.policyTypes[0]: Unsupported value: "All": supported values: "Ingress", "Egress"',
        ),
        (IP_ADDRESS, {"parentRef": None}, "spec.parentRef: Required value"),
        (SERVICE_CIDR, {"cidrs": []}, "spec.cidrs: Required value: at least one CIDR required"),
        (
            SERVICE_CIDR,
            {"cidrs": ["10.0.0.0/8", "11.0.0.0/8"]},
            'spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e '
            "192.168.0.0/24 and 2001:db8::/64",
        ),
        (RUNTIME_CLASS, {"handler": ""}, "handler: Required value"),
        (
            RUNTIME_CLASS,
            {"overhead": {"podFixed": {"cpu": "-1"}}},
            'overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            LEASE_CANDIDATE,
            {"binaryVersion": "1.36"},
            'spec.binaryVersion: Invalid value: "1.36": must be a valid semantic version',
        ),
        (
            LEASE_CANDIDATE,
            {"emulationVersion": "1.37.0"},
            'spec.binaryVersion: Invalid value: "1.36.0": must be greater than or equal to `emulationVersion`',
        ),
    ],
)
def test_refused_in_upstreams_words(kind, members, message):
    assert message in refusals(kind, having(kind, **members))


def test_limits_fill_each_other():
    (new,) = created(LIMIT_RANGE, having(LIMIT_RANGE, **limit("Container", max={"cpu": "2"}, min={"memory": "1Gi"})))["spec"][
        "limits"
    ]
    assert new["default"] == {"cpu": "2"}
    assert new["defaultRequest"] == {"cpu": "2", "memory": "1Gi"}


def test_the_scopes_of_a_quota_stay():
    old = stored(RESOURCE_QUOTA, sample(RESOURCE_QUOTA))
    assert changed(RESOURCE_QUOTA, old, lambda obj: obj["spec"].update(scopes=["BestEffort"]))[1] == [
        'spec.scopes: Invalid value: ["BestEffort"]: field is immutable'
    ]
    old["status"] = {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "1"}}
    assert cells(RESOURCE_QUOTA, old) == ["sample", "pods: 1/4", "limits.cpu: 0/2", "30s"]


def test_an_autoscalers_defaults():
    spec = created(HORIZONTAL_POD_AUTOSCALER, having(HORIZONTAL_POD_AUTOSCALER, behavior={"scaleDown": {"selectPolicy": "Min"}}))[
        "spec"
    ]
    assert spec["minReplicas"] == 1
    assert spec["metrics"][0]["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    assert spec["behavior"]["scaleDown"] == {
        "selectPolicy": "Min",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0


def test_the_older_autoscaler_is_the_newer_one():
    new = stored(HORIZONTAL_POD_AUTOSCALER_V1, having(HORIZONTAL_POD_AUTOSCALER_V1, targetCPUUtilizationPercentage=50))
    kept = HORIZONTAL_POD_AUTOSCALER_V1.to_stored(new)
    assert kept["apiVersion"] == "autoscaling/v2"
    assert kept["spec"]["metrics"] == [CPU]
    external = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "10"}}}
    kept["spec"]["metrics"].append(external)
    kept["spec"]["behavior"] = {"scaleUp": {"selectPolicy": "Max"}}
    older = HORIZONTAL_POD_AUTOSCALER_V1.from_stored(kept)
    assert older["spec"]["targetCPUUtilizationPercentage"] == 50
    assert set(older["metadata"]["annotations"]) == {
        "autoscaling.alpha.kubernetes.io/metrics",
        "autoscaling.alpha.kubernetes.io/behavior",
    }
    again = HORIZONTAL_POD_AUTOSCALER_V1.to_stored(older)
    assert again["spec"] == kept["spec"]
    assert again["metadata"].get("annotations", {}) == {}
    for kind, obj in ((HORIZONTAL_POD_AUTOSCALER, kept), (HORIZONTAL_POD_AUTOSCALER_V1, older)):
        assert cells(kind, obj) == [*("sample", "Deployment/web", "cpu: <unknown>/50%, <unknown>/10", "1", 3, 0, "30s")]


def test_a_policys_types_follow_its_rules():
    assert created(NETWORK_POLICY, sample(NETWORK_POLICY))["spec"]["policyTypes"] == ["Ingress"]
    assert created(NETWORK_POLICY, having(NETWORK_POLICY, egress=[{}]))["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert created(NETWORK_POLICY, having(NETWORK_POLICY, **ports(port=80)))["spec"]["ingress"][0]["ports"] == [
        {"port": 80, "protocol": "TCP"}
    ]


def test_an_annotation_and_a_field_name_one_class():
    obj = having(INGRESS, ingressClassName="a")
    obj["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "b"}
    assert refusals(INGRESS, obj) == [
        'annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when both are specified'
    ]


def test_an_ip_address_is_named_by_itself():
    obj = sample(IP_ADDRESS, "10.0.0.07")
    assert refusals(IP_ADDRESS, obj) == [
        'metadata.name: Invalid value: "10.0.0.07": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
    ]
    assert refusals(IP_ADDRESS, sample(IP_ADDRESS, "FE80::1")) == [
        'metadata.name: Invalid value: "FE80::1": must be in canonical form ("fe80::1")'
    ]


def test_a_service_cidr_may_get_a_second_family():
    old = stored(SERVICE_CIDR, sample(SERVICE_CIDR))
    both = ["10.96.0.0/16", "fd00::/108"]
    assert changed(SERVICE_CIDR, old, lambda obj: obj["spec"].update(cidrs=both))[1] == []
    assert changed(SERVICE_CIDR, old, lambda obj: obj["spec"].update(cidrs=["10.97.0.0/16"]))[1] == [
        'spec.cidrs[0]: Invalid value: "10.97.0.0/16": field is immutable'
    ]


@pytest.mark.parametrize(
    ("kind", "members", "shown"),
    [
        (POD_DISRUPTION_BUDGET, {}, ["sample", "1", "N/A", 0, "30s"]),
        (
            INGRESS,
            {"rules": [{"host": name} for name in ("a", "b", "c", "d")]},
            ["sample", "<none>", "a,b,c + 1 more...", "", "80", "30s"],
        ),
        (INGRESS, {"tls": [{}], "ingressClassName": "n"}, ["sample", "n", "*", "", "80, 443", "30s"]),
        (
            INGRESS_CLASS,
            {"parameters": {"apiGroup": "example.com", "kind": "K", "name": "n"}},
            ["sample", "example.com/ingress", "K.example.com/n", "30s"],
        ),
        (IP_ADDRESS, {}, ["10.0.0.7", "services/default/web"]),
        (SERVICE_CIDR, {"cidrs": ["10.0.0.0/8", "fd00::/108"]}, ["sample", "10.0.0.0/8,fd00::/108", "30s"]),
        (RUNTIME_CLASS, {}, ["sample", "crun", "30s"]),
        (POD_TEMPLATE, {}, ["sample", "web", "nginx:1.27", "app=web"]),
    ],
)
def test_rows(kind, members, shown):
    assert cells(kind, stored(kind, having(kind, **members))) == shown


def test_the_health_of_a_component():
    obj = {"metadata": {"name": "store"}, "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]}
    assert cells(COMPONENT_STATUS, obj) == ["store", "Healthy", "ok", ""]
    assert cells(COMPONENT_STATUS, {"metadata": {"name": "store"}})[1] == "Unknown"
