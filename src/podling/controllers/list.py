"""The controllers, in a literal list. A new one is a file and a line here."""

from collections.abc import Sequence

from podling.client.resource import Resource
from podling.controllers.autoscaling.controller import PERIOD, horizontal_pod_autoscaler
from podling.controllers.bootstrap_tokens import BOOTSTRAP_TOKENS
from podling.controllers.cluster_role_aggregation import AGGREGATION
from podling.controllers.controller import Controller
from podling.controllers.cron_job.controller import CRON_JOB
from podling.controllers.daemon_set.controller import DAEMON_SET
from podling.controllers.deployment.controller import DEPLOYMENT
from podling.controllers.disruption import DISRUPTION
from podling.controllers.endpoints.mirror import ENDPOINT_SLICE_MIRRORING
from podling.controllers.endpoints.slices import ENDPOINT_SLICE
from podling.controllers.endpoints.subsets import ENDPOINT
from podling.controllers.garbage import garbage
from podling.controllers.job.controller import JOB
from podling.controllers.job.expiry import TTL_AFTER_FINISHED
from podling.controllers.job.orphans import JOB_ORPHANS
from podling.controllers.namespace import namespace
from podling.controllers.nodes.eviction import TAINT_EVICTION
from podling.controllers.nodes.lifecycle import GRACE, node_lifecycle
from podling.controllers.nodes.pod_garbage import POD_GARBAGE
from podling.controllers.replica_set import REPLICA_SET
from podling.controllers.replication_controller import REPLICATION_CONTROLLER
from podling.controllers.service_account import service_account
from podling.controllers.stateful_set.controller import STATEFUL_SET
from podling.controllers.volume_protection import CLAIM_PROTECTION, CLASS_PROTECTION, VOLUME_PROTECTION


def standing(ca: bytes, node_grace: float = GRACE, autoscaling_period: float = PERIOD) -> tuple[Controller, ...]:
    """Those of certain resources. `ca` (PEM) vouches for the server's certificate; `node_grace`: how long nodes may be silent;
    `autoscaling_period`: how often an autoscaler looks."""
    return (
        REPLICA_SET,
        REPLICATION_CONTROLLER,
        DEPLOYMENT,
        STATEFUL_SET,
        DAEMON_SET,
        JOB,
        JOB_ORPHANS,
        TTL_AFTER_FINISHED,
        CRON_JOB,
        DISRUPTION,
        horizontal_pod_autoscaler(autoscaling_period),
        ENDPOINT_SLICE,
        ENDPOINT_SLICE_MIRRORING,
        ENDPOINT,
        service_account(ca),
        node_lifecycle(node_grace),
        TAINT_EVICTION,
        POD_GARBAGE,
        CLAIM_PROTECTION,
        VOLUME_PROTECTION,
        CLASS_PROTECTION,
        AGGREGATION,
        BOOTSTRAP_TOKENS,
    )


def over_all(resources: Sequence[Resource]) -> tuple[Controller, ...]:
    """Those of all `resources` that a server has."""
    kept = [resource for resource in resources if resource.plural != "events"]  # nobody owns events, and they go by themselves
    namespaced = [resource for resource in resources if resource.namespaced and resource.group != "events.k8s.io"]
    return (namespace(namespaced), garbage(kept))
