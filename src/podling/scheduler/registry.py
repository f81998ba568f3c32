"""The scheduler's plugins: this list is their order, with the weights of their scores; and those that others bring.

Out-of-tree plugins are Python entry points of the group `podling.scheduler.plugins`: the name is the plugin's, the value a
function of its arguments (the object under `pluginConfig`, {} without) and a `Handle`, which returns the plugin. They are enabled
by name in a KubeSchedulerConfiguration, like upstream's. In a plugin package's pyproject.toml:

    [project.entry-points."podling.scheduler.plugins"]
    Quiet = "my_package.quiet:Quiet"
"""

from collections.abc import Mapping
from importlib.metadata import entry_points

from podling.base.errors import InvalidInput
from podling.scheduler.framework import Factory
from podling.scheduler.plugins.coscheduling import Coscheduling
from podling.scheduler.plugins.default_binder import DefaultBinder
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
from podling.scheduler.plugins.priority_sort import PrioritySort
from podling.scheduler.plugins.scheduling_gates import SchedulingGates
from podling.scheduler.plugins.taint_toleration import TaintToleration
from podling.scheduler.plugins.volume_binding import VolumeBinding

ENTRY_POINTS = "podling.scheduler.plugins"

# Enabled by default at all their extension points (multiPoint), with the weight of their score.
DEFAULT_PLUGINS: tuple[tuple[str, int], ...] = (
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeUnschedulable", 0),
    ("NodeName", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeBinding", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
)
IN_TREE: Mapping[str, Factory] = {
    "SchedulingGates": lambda args, handle: SchedulingGates(),
    "PrioritySort": lambda args, handle: PrioritySort(),
    "NodeUnschedulable": lambda args, handle: NodeUnschedulable(),
    "NodeName": lambda args, handle: NodeName(),
    "TaintToleration": lambda args, handle: TaintToleration(),
    "NodeAffinity": lambda args, handle: NodeAffinity(args),
    "NodePorts": lambda args, handle: NodePorts(),
    "NodeResourcesFit": lambda args, handle: NodeResourcesFit(args),
    "VolumeBinding": VolumeBinding,
    "PodTopologySpread": lambda args, handle: PodTopologySpread(args),
    "InterPodAffinity": lambda args, handle: InterPodAffinity(args),
    "DefaultPreemption": DefaultPreemption,
    "NodeResourcesBalancedAllocation": lambda args, handle: NodeResourcesBalancedAllocation(args),
    "ImageLocality": lambda args, handle: ImageLocality(),
    "DefaultBinder": lambda args, handle: DefaultBinder(handle),
    "Coscheduling": Coscheduling,
}


def find_factory(name: str) -> Factory:
    """The plugin's factory. Raises InvalidInput when there is none of the name, or it can't be loaded."""
    if name in IN_TREE:
        return IN_TREE[name]
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            factory: Factory = point.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"scheduler plugin {name} ({point.value}): {error}") from error
        return factory
    where = f"is a package with an entry point of {ENTRY_POINTS} installed?"
    raise InvalidInput(f'plugin "{name}" does not exist: {where}')
