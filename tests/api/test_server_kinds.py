"""Kinds that steer the API server: webhooks, policies, definitions, services of the API, certificates, flow control; devices."""

import base64

import pytest

from podling.api.admissionregistration.policy import MUTATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY
from podling.api.admissionregistration.policybinding import VALIDATING_ADMISSION_POLICY_BINDING
from podling.api.admissionregistration.webhooks import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from podling.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION
from podling.api.apiregistration.apiservice import API_SERVICE
from podling.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from podling.api.certificates.clustertrustbundle import CLUSTER_TRUST_BUNDLE
from podling.api.certificates.podcertificaterequest import POD_CERTIFICATE_REQUEST
from podling.api.flowcontrol.flowschema import FLOW_SCHEMA
from podling.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from podling.api.objects import put
from podling.api.resource.deviceclass import DEVICE_CLASS
from podling.api.resource.devicetaintrule import DEVICE_TAINT_RULE
from podling.api.resource.resourceclaim import RESOURCE_CLAIM
from podling.api.resource.resourceslice import RESOURCE_SLICE
from podling.api.storagemigration.storageversionmigration import STORAGE_VERSION_MIGRATION
from podling.api.table import table
from podling.testing.kinds import certificate, sample
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30


def having(kind, **members):
    obj = sample(kind)
    return {**obj, "spec": {**obj["spec"], **members}}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def hook(**members):
    obj = sample(VALIDATING_WEBHOOK_CONFIGURATION)
    obj["webhooks"][0] |= members
    return obj


def version(**members):
    return [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}, **members}]


def test_a_webhooks_defaults():
    (new,) = created(MUTATING_WEBHOOK_CONFIGURATION, sample(MUTATING_WEBHOOK_CONFIGURATION))["webhooks"]
    defaults = {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "timeoutSeconds": 10,
        "reinvocationPolicy": "Never",
    }
    assert defaults.items() <= new.items()
    assert new["rules"][0]["scope"] == "*"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"name": "short"},
            'webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots',
        ),
        ({"sideEffects": None}, "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        ({"sideEffects": "Some"}, 'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        (
            {"timeoutSeconds": 31},
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        ({"clientConfig": {}}, "webhooks[0].clientConfig: Required value: exactly one of url or service is required"),
        (
            {"clientConfig": {"url": "http://a"}},
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: "
            "https://host[/path]",
        ),
        ({"admissionReviewVersions": []}, "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"),
        (
            {"admissionReviewVersions": ["v2"]},
            'webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1',
        ),
        (
            {"rules": [{"operations": ["*", "CREATE"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["pods"]}]},
            'webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not '
            "specify other operations",
        ),
        (
            {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["pods/*", "pods/log"]}]},
            "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
        ),
        ({"matchConditions": [{"name": "a"}]}, "webhooks[0].matchConditions[0].expression: Required value"),
    ],
)
def test_a_bad_webhook(members, message):
    assert message in refusals(VALIDATING_WEBHOOK_CONFIGURATION, hook(**members))


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        (VALIDATING_ADMISSION_POLICY, {"matchConstraints": None}, "spec.matchConstraints: Required value"),
        (
            VALIDATING_ADMISSION_POLICY,
            {"validations": []},
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        ),
        (
            VALIDATING_ADMISSION_POLICY,
            {"variables": [{"name": "a-b", "expression": "1"}]},
            'spec.variables[0].name: Invalid value: "a-b": must be a valid CEL identifier',
        ),
        (
            VALIDATING_ADMISSION_POLICY_BINDING,
            {"validationActions": []},
            "spec.validationActions: Required value: at least one validation action is required",
        ),
        (
            VALIDATING_ADMISSION_POLICY_BINDING,
            {"paramRef": {"parameterNotFoundAction": "Deny"}},
            "spec.paramRef: Required value: one of name or selector must be specified",
        ),
        (MUTATING_ADMISSION_POLICY, {"reinvocationPolicy": ""}, "spec.reinvocationPolicy: Required value"),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"group": "example"},
            'spec.group: Invalid value: "example": should be a domain with at least one dot',
        ),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"group": "other.com"},
            'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group',
        ),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"scope": "World"},
            'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"',
        ),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"versions": version(schema=None)},
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"versions": version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".a"}])},
            'spec.versions[0].additionalPrinterColumns[0].type: Invalid value: "text": must be one of '
            "boolean,date,integer,number,string",
        ),
        (
            CUSTOM_RESOURCE_DEFINITION,
            {"conversion": {"strategy": "Webhook"}},
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
        (
            API_SERVICE,
            {"version": "v2"},
            'metadata.name: Invalid value: "v1.metrics.example.com": must be `spec.version+"."+spec.group`: '
            '"v2.metrics.example.com"',
        ),
        (
            API_SERVICE,
            {"versionPriority": 0},
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        ),
        (CERTIFICATE_SIGNING_REQUEST, {"usages": []}, "spec.usages: Required value"),
        (
            CERTIFICATE_SIGNING_REQUEST,
            {"request": base64.b64encode(b"x").decode()},
            'spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST',
        ),
        (
            CERTIFICATE_SIGNING_REQUEST,
            {"expirationSeconds": 60},
            "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
        ),
        (
            CERTIFICATE_SIGNING_REQUEST,
            {"signerName": "me"},
            'spec.signerName: Invalid value: "me": must be a fully qualified domain and path of the form '
            "'example.com/signer-name'",
        ),
        (
            CLUSTER_TRUST_BUNDLE,
            {"trustBundle": ""},
            'spec.trustBundle: Invalid value: "<value omitted>": at least one trust anchor must be provided',
        ),
        (
            CLUSTER_TRUST_BUNDLE,
            {"signerName": "example.com/a"},
            'metadata.name: Invalid value: "sample": ClusterTrustBundle for signerName example.com/a must be named with prefix '
            "example.com:a:",
        ),
        (
            FLOW_SCHEMA,
            {"matchingPrecedence": 10001},
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
        ),
        (
            FLOW_SCHEMA,
            {"rules": [{"subjects": [{"kind": "User"}]}]},
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        ),
        (
            PRIORITY_LEVEL_CONFIGURATION,
            {"type": "Exempt"},
            "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
        ),
        (
            PRIORITY_LEVEL_CONFIGURATION,
            {"limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 5}}}},
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
        ),
        (
            RESOURCE_CLAIM,
            {"devices": {"requests": [{"name": "a"}]}},
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        ),
        (
            RESOURCE_CLAIM,
            {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "All", "count": 2}}]}},
            "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
        ),
        (
            RESOURCE_CLAIM,
            {"devices": {"constraints": [{"requests": ["x"], "matchAttribute": "a/b"}]}},
            'spec.devices.constraints[0].requests[0]: Invalid value: "x": must be the name of a request in the '
            "claim or the name of a "
            "request and a subrequest separated by '/'",
        ),
        (
            RESOURCE_SLICE,
            {"allNodes": True},
            'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, '
            "`perDeviceNodeSelection` is required, but multiple fields are set",
        ),
        (DEVICE_CLASS, {"selectors": [{}]}, "spec.selectors[0].cel: Required value"),
        (DEVICE_TAINT_RULE, {"taint": {"key": "a"}}, "spec.taint.effect: Required value"),
        (STORAGE_VERSION_MIGRATION, {"resource": {}}, "spec.resource.resource: Required value: resource is required to be set"),
    ],
)
def test_refused_in_upstreams_words(kind, members, message):
    assert message in refusals(kind, having(kind, **members))


def test_a_definitions_names_are_completed():
    new = created(CUSTOM_RESOURCE_DEFINITION, sample(CUSTOM_RESOURCE_DEFINITION))
    assert new["spec"]["names"] == {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"}
    assert new["spec"]["conversion"] == {"strategy": "None"}
    assert new["status"]["storedVersions"] == ["v1"]


def test_a_stored_version_stays_listed():
    old = stored(CUSTOM_RESOURCE_DEFINITION, sample(CUSTOM_RESOURCE_DEFINITION))
    new, wrong = changed(CUSTOM_RESOURCE_DEFINITION, old, lambda obj: obj["spec"].update(versions=version(name="v2")))
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    (message,) = wrong
    assert message.startswith('status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously')


def test_kubernetes_groups_need_a_word():
    obj = having(CUSTOM_RESOURCE_DEFINITION, group="sig.k8s.io")
    obj["metadata"]["name"] = "widgets.sig.k8s.io"
    (message,) = refusals(CUSTOM_RESOURCE_DEFINITION, obj)
    assert message.startswith("metadata.annotations[api-approved.kubernetes.io]: Required value: ")
    obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/1"}
    assert refusals(CUSTOM_RESOURCE_DEFINITION, obj) == []


def test_a_certificate_is_put_once():
    old = stored(CERTIFICATE_SIGNING_REQUEST, sample(CERTIFICATE_SIGNING_REQUEST))
    encoded = base64.b64encode(certificate().encode()).decode()
    new = put(old, "status", {"certificate": encoded})
    assert list(CERTIFICATE_SIGNING_REQUEST.status_errors(new, old)) == []
    assert cells(CERTIFICATE_SIGNING_REQUEST, new) == ["sample", "30s", "example.com/a", "", "<none>", "Pending,Issued"]
    bad = put(old, "status", {"certificate": "eA=="})
    assert [str(error) for error in CERTIFICATE_SIGNING_REQUEST.status_errors(bad, old)] == [
        'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block'
    ]
    assert "status.certificate: Forbidden: updates may not modify existing certificate content" in [
        str(error) for error in CERTIFICATE_SIGNING_REQUEST.status_errors(bad, new)
    ]


def test_a_pods_certificate_request_ends_once():
    old = stored(POD_CERTIFICATE_REQUEST, sample(POD_CERTIFICATE_REQUEST))
    issued = put(old, "status", {"conditions": [{"type": "Issued", "status": "True"}]})
    assert list(POD_CERTIFICATE_REQUEST.status_errors(issued, old)) == []
    again = put(issued, "status.notBefore", "2026-01-01T00:00:00Z")
    (message,) = [str(error) for error in POD_CERTIFICATE_REQUEST.status_errors(again, issued)]
    assert message.endswith(": immutable after PodCertificateRequest is issued, denied, or failed")


def test_flow_controls_defaults():
    assert created(FLOW_SCHEMA, sample(FLOW_SCHEMA))["spec"]["matchingPrecedence"] == 1000
    limited = created(PRIORITY_LEVEL_CONFIGURATION, sample(PRIORITY_LEVEL_CONFIGURATION))["spec"]["limited"]
    assert limited == {
        "limitResponse": {"type": "Queue", "queuing": {"handSize": 8, "queues": 64, "queueLengthLimit": 50}},
        "nominalConcurrencyShares": 30,
        "lendablePercent": 0,
    }


def test_an_allocation_stays():
    old = stored(RESOURCE_CLAIM, sample(RESOURCE_CLAIM))
    result = {"request": "gpu", "driver": "gpu.example.com", "pool": "n", "device": "gpu-0"}
    new = put(
        old,
        "status",
        {"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]},
    )
    assert list(RESOURCE_CLAIM.status_errors(new, old)) == []
    assert cells(RESOURCE_CLAIM, new) == ["sample", "allocated,reserved", "30s"]
    other = put(new, "status.allocation", {})
    (message,) = [str(error) for error in RESOURCE_CLAIM.status_errors(other, new)]
    assert message == "status.allocation: Invalid value: {}: field is immutable"


@pytest.mark.parametrize(
    ("kind", "members", "shown"),
    [
        (VALIDATING_ADMISSION_POLICY, {}, ["sample", 1, "<unset>", "30s"]),
        (
            VALIDATING_ADMISSION_POLICY_BINDING,
            {"paramRef": {"name": "p", "parameterNotFoundAction": "Deny"}},
            ["sample", "a", "*/p", "30s"],
        ),
        (CUSTOM_RESOURCE_DEFINITION, {}, ["widgets.example.com", "2026-01-01T00:00:00Z"]),
        (API_SERVICE, {}, ["v1.metrics.example.com", "default/metrics", "Unknown", "30s"]),
        (FLOW_SCHEMA, {}, ["sample", "global-default", 1000, "<none>", "30s", "?"]),
        (PRIORITY_LEVEL_CONFIGURATION, {}, ["sample", "Limited", 30, 64, 8, 50, "30s"]),
        (RESOURCE_SLICE, {}, ["sample", "n", "gpu.example.com", "n", "30s"]),
        (DEVICE_TAINT_RULE, {}, ["sample", "example.com/broken", "", "NoSchedule", "<unknown>", "30s"]),
        (STORAGE_VERSION_MIGRATION, {}, ["sample", "configmaps", "Unknown"]),
    ],
)
def test_rows(kind, members, shown):
    assert cells(kind, stored(kind, having(kind, **members))) == shown
