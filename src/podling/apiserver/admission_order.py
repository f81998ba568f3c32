"""Which admission plugins there are, in the order that they run. Source: Kubernetes documentation "Admission Control"."""

from podling.apiserver.admission import Plugin, Review, concerned
from podling.apiserver.admission_certificates import (
    certificate_approval,
    certificate_requester,
    certificate_subject_restriction,
)
from podling.apiserver.admission_escalation import no_escalation
from podling.apiserver.admission_limits import limit_defaults, limit_ranger
from podling.apiserver.admission_namespace import namespace_lifecycle
from podling.apiserver.admission_node import node_restriction
from podling.apiserver.admission_nodes import taint_new_node
from podling.apiserver.admission_podsecurity import pod_security
from podling.apiserver.admission_priority import priority
from podling.apiserver.admission_quota import resource_quota
from podling.apiserver.admission_runtimeclass import runtime_class
from podling.apiserver.admission_serviceaccount import service_account
from podling.apiserver.admission_storage import default_ingress_class, default_storage_class, storage_object_in_use_protection
from podling.apiserver.admission_tolerations import default_toleration_seconds

MUTATING: tuple[Plugin, ...] = (
    namespace_lifecycle,
    limit_defaults,
    node_restriction,  # before a service account is filled in, which mirror pods don't have
    service_account,
    taint_new_node,
    priority,
    default_toleration_seconds,
    default_storage_class,
    storage_object_in_use_protection,
    runtime_class,
    default_ingress_class,
    certificate_requester,
)
VALIDATING: tuple[Plugin, ...] = (
    no_escalation,
    limit_ranger,
    pod_security,
    certificate_approval,
    certificate_subject_restriction,
    resource_quota,  # the last: what it charges is charged
)


async def mutate(review: Review) -> None:
    for plugin in concerned(MUTATING, review.operation, review.kind.storage):
        await plugin(review)


async def validate(review: Review) -> None:
    for plugin in concerned(VALIDATING, review.operation, review.kind.storage):
        await plugin(review)
