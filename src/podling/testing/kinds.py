"""A small good object of each kind that the API keeps."""

import base64
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podling.api.kind import Kind
from podling.api.objects import thaw
from podling.api.registry import KINDS

Object = dict[str, Any]

_CONTAINER = {"name": "web", "image": "nginx:1.27"}
_LABELS = {"app": "web"}
_SELECTOR = {"matchLabels": _LABELS}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": {"containers": [_CONTAINER]}}
_ONCE = {"spec": {"containers": [_CONTAINER], "restartPolicy": "Never"}}
_COPIES = {"selector": _SELECTOR, "template": _TEMPLATE}
_RULE = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
_WEBHOOK = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://hooks.example.com/a"},
    "rules": [_RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
_SERVED = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_DEVICES = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
_DEVICES_BETA1 = {"devices": {"requests": [{"name": "gpu", "deviceClassName": "gpu.example.com"}]}}
_POOL = {"driver": "gpu.example.com", "pool": {"name": "n", "resourceSliceCount": 1, "generation": 1}, "nodeName": "n"}
_TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}

# members of an object by kind; what a kind is called differently in one version stands under both
_MEMBERS: dict[str, Object] = {
    "ConfigMap": {"data": {"a": "1"}},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "v1 Event": {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "Started"},
    "LimitRange": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    "PersistentVolume": {
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}
    },
    "PersistentVolumeClaim": {"spec": _CLAIM},
    "Pod": {"spec": {"containers": [_CONTAINER]}},
    "PodTemplate": {"template": _TEMPLATE},
    "ReplicationController": {"spec": {"template": _TEMPLATE}},
    "ResourceQuota": {"spec": {"hard": {"pods": "10"}}},
    "Secret": {"stringData": {"a": "1"}},
    "Service": {"spec": {"selector": _LABELS, "ports": [{"port": 80}]}},
    "ControllerRevision": {"data": {"spec": {}}, "revision": 1},
    "DaemonSet": {"spec": _COPIES},
    "Deployment": {"spec": _COPIES},
    "ReplicaSet": {"spec": _COPIES},
    "StatefulSet": {"spec": _COPIES},
    "CronJob": {"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": _ONCE}}}},
    "Job": {"spec": {"template": _ONCE}},
    "HorizontalPodAutoscaler": {"spec": {"scaleTargetRef": _TARGET, "maxReplicas": 3}},
    "events.k8s.io/v1 Event": {
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/c",
        "reportingInstance": "c-1",
        "action": "Start",
        "reason": "Started",
        "type": "Normal",
    },
    "PodCertificateRequest": {
        "spec": {
            "signerName": "example.com/a",
            "stubPKCS10Request": "eA==",
            **{f"{who}{what}": "a" for who in ("pod", "serviceAccount", "node") for what in ("Name", "UID")},
        }
    },
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    "IngressClass": {"spec": {"controller": "example.com/ingress"}},
    "IPAddress": {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "ServiceCIDR": {"spec": {"cidrs": ["10.96.0.0/16"]}},
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": _SELECTOR}},
    "ClusterRole": {"rules": []},
    "Role": {"rules": []},
    "ClusterRoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}},
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}},
    "CSIDriver": {"spec": {}},
    "CSINode": {"spec": {"drivers": [{"name": "csi.example.com", "nodeID": "n"}]}},
    "CSIStorageCapacity": {"storageClassName": "fast", "capacity": "1Gi"},
    "StorageClass": {"provisioner": "csi.example.com"},
    "VolumeAttachment": {"spec": {"attacher": "csi.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
    "VolumeAttributesClass": {"driverName": "csi.example.com", "parameters": {"iops": "100"}},
    "MutatingAdmissionPolicy": {
        "spec": {
            "matchConstraints": {"resourceRules": [_RULE]},
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
        }
    },
    "MutatingAdmissionPolicyBinding": {"spec": {"policyName": "a"}},
    "MutatingWebhookConfiguration": {"webhooks": [_WEBHOOK]},
    "ValidatingAdmissionPolicy": {
        "spec": {"matchConstraints": {"resourceRules": [_RULE]}, "validations": [{"expression": "true"}]}
    },
    "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": "a", "validationActions": ["Deny"]}},
    "ValidatingWebhookConfiguration": {"webhooks": [_WEBHOOK]},
    "CustomResourceDefinition": {
        "spec": {
            "group": "example.com",
            "names": {"plural": "widgets", "kind": "Widget"},
            "scope": "Namespaced",
            "versions": [_SERVED],
        }
    },
    "APIService": {
        "spec": {
            "group": "metrics.example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": "default", "name": "metrics"},
        }
    },
    "PriorityClass": {"value": 10},
    "Lease": {"spec": {"holderIdentity": "a"}},
    "LeaseCandidate": {
        "spec": {
            "leaseName": "a",
            "binaryVersion": "1.36.0",
            "emulationVersion": "1.36.0",
            "strategy": "OldestEmulationVersion",
        }
    },
    "EndpointSlice": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]},
    "RuntimeClass": {"handler": "crun"},
    "FlowSchema": {"spec": {"priorityLevelConfiguration": {"name": "global-default"}}},
    "PriorityLevelConfiguration": {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}},
    "DeviceClass": {"spec": {"selectors": [{"cel": {"expression": "true"}}]}},
    "ResourceClaim": {"spec": _DEVICES},
    "resource.k8s.io/v1beta1 ResourceClaim": {"spec": _DEVICES_BETA1},
    "ResourceClaimTemplate": {"spec": {"spec": _DEVICES}},
    "resource.k8s.io/v1beta1 ResourceClaimTemplate": {"spec": {"spec": _DEVICES_BETA1}},
    "ResourceSlice": {"spec": {**_POOL, "devices": [{"name": "gpu-0", "attributes": {"cores": {"int": 2}}}]}},
    "resource.k8s.io/v1beta1 ResourceSlice": {
        "spec": {**_POOL, "devices": [{"name": "gpu-0", "basic": {"attributes": {"cores": {"int": 2}}}}]}
    },
    "DeviceTaintRule": {"spec": {"taint": {"key": "example.com/broken", "effect": "NoSchedule"}}},
    "StorageVersionMigration": {"spec": {"resource": {"group": "", "resource": "configmaps"}}},
}
_NAMES = {"APIService": "v1.metrics.example.com", "CustomResourceDefinition": "widgets.example.com", "IPAddress": "10.0.0.7"}

KEPT = tuple(kind for kind in KINDS if "create" in kind.verbs and not kind.create_only)


def sample(kind: Kind, name: str = "") -> Object:
    """A good object of `kind`, in the namespace `default` where it has one."""
    metadata = {"name": name or _NAMES.get(kind.kind, "sample")}
    if kind.namespaced:
        metadata["namespace"] = "default"
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **thaw(_members(kind))}


def _members(kind: Kind) -> Object:
    if kind.kind == "CertificateSigningRequest":
        return {"spec": {"request": signing_request(), "signerName": "example.com/a", "usages": ["client auth"]}}
    if kind.kind == "ClusterTrustBundle":
        return {"spec": {"trustBundle": certificate()}}
    return _MEMBERS.get(f"{kind.api_version} {kind.kind}") or _MEMBERS.get(kind.kind, {})


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def signing_request() -> str:
    """The base64 of a certificate request in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(_key(), hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


@cache
def certificate() -> str:
    """A certificate in PEM that has signed itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_key().public_key()).serial_number(1)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    return builder.sign(_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
