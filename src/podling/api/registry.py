"""The kinds that are served, in the order that discovery shows them. A new kind is one file and one line here."""

import re
from collections.abc import Iterable, Iterator

from podling.api.admissionregistration.policy import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BETA,
    VALIDATING_ADMISSION_POLICY,
)
from podling.api.admissionregistration.policybinding import (
    MUTATING_ADMISSION_POLICY_BINDING,
    MUTATING_ADMISSION_POLICY_BINDING_BETA,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from podling.api.admissionregistration.webhooks import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from podling.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION
from podling.api.apiregistration.apiservice import API_SERVICE
from podling.api.apps.controllerrevision import CONTROLLER_REVISION
from podling.api.apps.daemonset import DAEMON_SET
from podling.api.apps.deployment import DEPLOYMENT
from podling.api.apps.replicaset import REPLICA_SET
from podling.api.apps.statefulset import STATEFUL_SET
from podling.api.authentication.reviews import SELF_SUBJECT_REVIEW, TOKEN_REVIEW
from podling.api.authorization.reviews import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
)
from podling.api.autoscaling.horizontalpodautoscaler import HORIZONTAL_POD_AUTOSCALER, HORIZONTAL_POD_AUTOSCALER_V1
from podling.api.batch.cronjob import CRON_JOB
from podling.api.batch.job import JOB
from podling.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from podling.api.certificates.clustertrustbundle import CLUSTER_TRUST_BUNDLE
from podling.api.certificates.podcertificaterequest import POD_CERTIFICATE_REQUEST
from podling.api.coordination.lease import LEASE
from podling.api.coordination.leasecandidate import LEASE_CANDIDATE
from podling.api.core.binding import BINDING
from podling.api.core.componentstatus import COMPONENT_STATUS
from podling.api.core.configmap import CONFIG_MAP
from podling.api.core.endpoints import ENDPOINTS
from podling.api.core.event import EVENT
from podling.api.core.limitrange import LIMIT_RANGE
from podling.api.core.namespace import NAMESPACE
from podling.api.core.node import NODE
from podling.api.core.persistentvolume import PERSISTENT_VOLUME
from podling.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from podling.api.core.pod import POD
from podling.api.core.podtemplate import POD_TEMPLATE
from podling.api.core.replicationcontroller import REPLICATION_CONTROLLER
from podling.api.core.resourcequota import RESOURCE_QUOTA
from podling.api.core.secret import SECRET
from podling.api.core.service import SERVICE
from podling.api.core.serviceaccount import SERVICE_ACCOUNT
from podling.api.discovery.endpointslice import ENDPOINT_SLICE
from podling.api.events.event import EVENT as NEW_EVENT
from podling.api.flowcontrol.flowschema import FLOW_SCHEMA
from podling.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from podling.api.kind import Kind
from podling.api.networking.ingress import INGRESS
from podling.api.networking.ingressclass import INGRESS_CLASS
from podling.api.networking.ipaddress import IP_ADDRESS, IP_ADDRESS_BETA
from podling.api.networking.networkpolicy import NETWORK_POLICY
from podling.api.networking.servicecidr import SERVICE_CIDR, SERVICE_CIDR_BETA
from podling.api.node.runtimeclass import RUNTIME_CLASS
from podling.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET
from podling.api.rbac.binding import CLUSTER_ROLE_BINDING, ROLE_BINDING
from podling.api.rbac.role import CLUSTER_ROLE, ROLE
from podling.api.resource.deviceclass import DEVICE_CLASS, DEVICE_CLASS_BETA1, DEVICE_CLASS_BETA2
from podling.api.resource.devicetaintrule import DEVICE_TAINT_RULE
from podling.api.resource.resourceclaim import RESOURCE_CLAIM, RESOURCE_CLAIM_BETA1, RESOURCE_CLAIM_BETA2
from podling.api.resource.resourceclaimtemplate import (
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_CLAIM_TEMPLATE_BETA1,
    RESOURCE_CLAIM_TEMPLATE_BETA2,
)
from podling.api.resource.resourceslice import RESOURCE_SLICE, RESOURCE_SLICE_BETA1, RESOURCE_SLICE_BETA2
from podling.api.scheduling.priorityclass import PRIORITY_CLASS
from podling.api.storage.csidriver import CSI_DRIVER
from podling.api.storage.csinode import CSI_NODE
from podling.api.storage.csistoragecapacity import CSI_STORAGE_CAPACITY
from podling.api.storage.storageclass import STORAGE_CLASS
from podling.api.storage.volumeattachment import VOLUME_ATTACHMENT
from podling.api.storage.volumeattributesclass import VOLUME_ATTRIBUTES_CLASS, VOLUME_ATTRIBUTES_CLASS_BETA
from podling.api.storagemigration.storageversionmigration import STORAGE_VERSION_MIGRATION

_VERSION = re.compile("v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?").fullmatch

KINDS: tuple[Kind, ...] = (
    BINDING,
    COMPONENT_STATUS,
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    LIMIT_RANGE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    POD,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    CRON_JOB,
    JOB,
    NEW_EVENT,
    TOKEN_REVIEW,
    SELF_SUBJECT_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    CERTIFICATE_SIGNING_REQUEST,
    CLUSTER_TRUST_BUNDLE,
    POD_CERTIFICATE_REQUEST,
    INGRESS,
    INGRESS_CLASS,
    IP_ADDRESS,
    NETWORK_POLICY,
    SERVICE_CIDR,
    IP_ADDRESS_BETA,
    SERVICE_CIDR_BETA,
    POD_DISRUPTION_BUDGET,
    CLUSTER_ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE_BINDING,
    ROLE,
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
    VOLUME_ATTRIBUTES_CLASS_BETA,
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
    MUTATING_ADMISSION_POLICY_BETA,
    MUTATING_ADMISSION_POLICY_BINDING_BETA,
    CUSTOM_RESOURCE_DEFINITION,
    API_SERVICE,
    PRIORITY_CLASS,
    LEASE,
    LEASE_CANDIDATE,
    ENDPOINT_SLICE,
    RUNTIME_CLASS,
    FLOW_SCHEMA,
    PRIORITY_LEVEL_CONFIGURATION,
    DEVICE_CLASS,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_SLICE,
    DEVICE_CLASS_BETA2,
    RESOURCE_CLAIM_BETA2,
    RESOURCE_CLAIM_TEMPLATE_BETA2,
    RESOURCE_SLICE_BETA2,
    DEVICE_TAINT_RULE,
    DEVICE_CLASS_BETA1,
    RESOURCE_CLAIM_BETA1,
    RESOURCE_CLAIM_TEMPLATE_BETA1,
    RESOURCE_SLICE_BETA1,
    STORAGE_VERSION_MIGRATION,
)


def priority(version: str) -> tuple[int, int, int, str]:
    """Sorts versions from the best: stable, beta, alpha, each the newest first, then all others by name.

    Source: Kubernetes documentation "Versions in CustomResourceDefinitions", "Version priority".
    """
    found = _VERSION(version)
    if found is None:
        return 3, 0, 0, version
    major, stage, minor = found.groups()
    return {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), version


class Registry:
    """Kinds by resource and by name. Custom resources come and go; the built-in ones stay."""

    def __init__(self, kinds: Iterable[Kind] = KINDS) -> None:
        self._by_resource: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self._by_resource[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.api_version, kind.kind] = kind

    def remove(self, kind: Kind) -> None:
        del self._by_resource[kind.group, kind.version, kind.plural]
        del self._by_kind[kind.api_version, kind.kind]

    def resource(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def kind(self, api_version: str, name: str) -> Kind | None:
        return self._by_kind.get((api_version, name))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_resource.values())

    def group_versions(self) -> dict[str, list[str]]:
        """The versions of each group, the best first: `{"": ["v1"], "autoscaling": ["v2", "v1"]}`."""
        found: dict[str, set[str]] = {}
        for kind in self:
            found.setdefault(kind.group, set()).add(kind.version)
        return {group: sorted(versions, key=priority) for group, versions in found.items()}

    def of_group(self, group: str, version: str) -> list[Kind]:
        return [kind for kind in self if (kind.group, kind.version) == (group, version)]


BUILTIN = Registry()
