"""The scheduler's plugins: this list is their order, this table the weights of their scores."""

from podling.scheduler.framework import Profile
from podling.scheduler.plugins.default_preemption import DefaultPreemption
from podling.scheduler.plugins.image_locality import ImageLocality
from podling.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from podling.scheduler.plugins.node_affinity import NodeAffinity
from podling.scheduler.plugins.node_name import NodeName
from podling.scheduler.plugins.node_ports import NodePorts
from podling.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from podling.scheduler.plugins.node_resources_fit import NodeResourcesFit
from podling.scheduler.plugins.node_unschedulable import NodeUnschedulable
from podling.scheduler.plugins.pod_topology_spread import PodTopologySpread
from podling.scheduler.plugins.scheduling_gates import SchedulingGates
from podling.scheduler.plugins.taint_toleration import TaintToleration

FIT, PORTS = NodeResourcesFit(), NodePorts()

DEFAULT = Profile(
    "default-scheduler",
    plugins=(
        SchedulingGates(),
        NodeUnschedulable(),
        NodeName(),
        TaintToleration(),
        NodeAffinity(),
        PORTS,
        FIT,
        PodTopologySpread(),
        InterPodAffinity(),
        DefaultPreemption(PORTS, FIT),
        NodeResourcesBalancedAllocation(),
        ImageLocality(),
    ),
    weights={
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    },
)
